"""What is cross-checked: one file per mathematical object, each exporting ``QUANTITIES``."""
