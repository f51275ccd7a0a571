"""What things cost, beside what else could do them."""
