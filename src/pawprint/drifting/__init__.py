"""What pictures seen in use have in common with those learned from, and what not."""
