"""The experiments of Section 6, from samples and with exact gradients, evaluated exactly."""
