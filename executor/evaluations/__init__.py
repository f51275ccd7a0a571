"""Where an evaluation comes from, and whose counts."""
