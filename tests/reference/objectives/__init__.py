"""Upper objectives against their definitions."""
