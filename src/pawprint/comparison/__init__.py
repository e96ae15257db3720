"""Runs side by side: what differs, their figures, and the pictures that changed sides."""
