"""Sections of the page that shows a decision, each as the values that the template shows."""
