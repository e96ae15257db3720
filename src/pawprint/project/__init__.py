"""A project of one's own: made by `pawprint init`, noticing when pawprint computes otherwise."""
