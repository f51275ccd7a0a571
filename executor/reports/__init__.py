"""The report of a run: the decision as a message and as a page."""
