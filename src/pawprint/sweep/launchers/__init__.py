"""Where trials run, a file for each ``hydra/launcher``; ``basic`` is in `base`."""
