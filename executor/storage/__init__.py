"""Where bytes lie. Knows nothing of models."""
