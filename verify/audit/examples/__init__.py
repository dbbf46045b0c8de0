"""Audits of code that nobody here wrote, through the Gymnasium environment of a tabular problem."""
