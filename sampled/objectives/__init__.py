"""The upper-level objectives of ``reference`` as means over trajectories: one file each.

A file exports one constant ``OBJECTIVE``; every generic check finds it there.
"""
