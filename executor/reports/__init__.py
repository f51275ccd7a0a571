"""What a run reports: the decision as a message, and as a page."""
