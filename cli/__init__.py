"""The command best-exporter: what an operator does with a base directory."""
