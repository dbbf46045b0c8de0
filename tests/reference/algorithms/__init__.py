"""Algorithms: descent, differentiation through steps, resumption bit for bit."""
