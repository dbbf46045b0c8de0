"""The auditor's instruments: tests and bounds that hold at every sample size and however one stops."""
