"""Independent routes to every exact quantity.

A quantity is *defined* once, by the plain formulas of :mod:`verify.oracles.definitions`, over any
arithmetic; a route is an arithmetic together with a way to differentiate in it.  Nothing here
imports a value, a gradient or a penalty of :mod:`reference`: only the data of its problems.
"""
