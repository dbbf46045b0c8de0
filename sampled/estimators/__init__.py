"""Estimators of a discounted sum and its gradients: one file each.

A file exports one constant ``ESTIMATOR``; every generic check finds it there.
"""
