"""Penalties p(x, y) >= 0 that vanish exactly where the lower level is solved: one file each.

A file holds the mathematics as plain functions and exports one constant ``PENALTY``; every generic
check finds it there.
"""
