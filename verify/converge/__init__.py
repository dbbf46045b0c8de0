"""The convergence bounds of Theorems 11 and 16, run: both sides at each iteration."""
