"""Holds :mod:`reference` and :mod:`sampled` to independent routes, and the paper to its claims."""
