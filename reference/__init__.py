"""Penalty-based bilevel reinforcement learning in closed form, exact in float64.

Data moves one way, and imports only point left::

    problems  ->  evaluation  ->  optimality  ->  penalties, objectives  ->  algorithms
    (given)       V, Q, d         pi*, V*, Q*     p, f and gradients         PBRL, ...

Array names carry their axes: ``s`` state, ``t`` next state, ``a`` action, ``b`` the second player's
(or the follower's) action, ``k`` a list of policies or of weights.  Any array may have further
leading axes: problems of one shape advance together.
"""
