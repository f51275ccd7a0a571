"""One run: observe, decide, act."""
