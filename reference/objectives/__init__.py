"""Upper-level objectives f(x, pi) with exact gradients: one file per application.

A file holds the mathematics as plain functions and exports one constant ``OBJECTIVE``; every generic
check finds it there.
"""
