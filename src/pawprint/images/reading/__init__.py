"""Reading each file once, on all cores, and remembering it."""
