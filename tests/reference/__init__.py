"""The exact side, part by part."""
