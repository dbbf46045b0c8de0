"""Deliberate faults, one per file: each must be caught by some check, or the checks are too weak."""
