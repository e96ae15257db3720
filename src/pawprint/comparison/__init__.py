"""Recorded runs side by side: what differs, how good they are, and which pictures changed sides."""
