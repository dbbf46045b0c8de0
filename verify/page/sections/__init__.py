"""Sections of the page below the statements: one file each, with the constant ``SECTION``."""
