"""Whether the pictures seen in use differ from those learned from."""
