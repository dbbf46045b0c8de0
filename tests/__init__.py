"""Holds the packages to what they promise; the strategies draw the problems."""
