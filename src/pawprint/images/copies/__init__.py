"""Which pictures are copies of one another."""
