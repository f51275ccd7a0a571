"""Reads evaluations, and chooses the evaluation of the best to compare with."""
