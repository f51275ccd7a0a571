"""Runnable pipelines. Run them from the repository's root: `python -m pipelines.demo`."""
