"""Exports: the version directories that a model server polls, and their records."""
