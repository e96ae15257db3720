"""Many files read on all cores, and what was read remembered."""
