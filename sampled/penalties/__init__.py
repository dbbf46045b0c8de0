"""The penalties of ``reference`` as means over trajectories: one file each.

A file exports one constant ``PENALTY``; every generic check finds it there.
"""
