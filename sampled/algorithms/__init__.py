"""Bilevel algorithms from samples: one file each."""
