"""Algorithms with exact gradients, as pure steps on frozen states.

::

    bilevel       problem, upper objective and policy maps, together     (2.3), (5.4)
    pbrl          penalty-based descent: Algorithm 1 and (5.12)
    oracles       approximate solutions of the lower level: (C.32), (C.33)
    independent_gradient, meta_gradient     the baselines of Sections 6.1 and 6.3
    hypergradient through the solution itself: what the penalties approach
    checkpoint    states in files, bound to the settings that they belong to

A step maps a state to the next one and reads nothing else, so a run that is interrupted anywhere,
saved and resumed continues bit for bit.
"""
