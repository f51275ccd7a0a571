"""Example pipelines. Run them from the root of the repository: `python -m pipelines.demo`."""
