"""Runs a step: observe, decide, act."""
