"""What a person gave: checked, and turned into values."""
