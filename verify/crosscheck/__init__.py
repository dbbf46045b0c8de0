"""The cross-check matrix: every exact quantity, by every independent route, on every family."""
