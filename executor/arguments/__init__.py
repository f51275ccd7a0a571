"""Arguments: checks that raise clear errors, and conversions into values."""
