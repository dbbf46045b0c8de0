"""The quantities and algorithms of :mod:`reference`, estimated from samples in PyTorch."""
