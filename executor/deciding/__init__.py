"""Decisions on whether a candidate replaces the best: pure functions of values."""
