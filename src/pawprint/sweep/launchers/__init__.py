"""Where trials run, by ``hydra/launcher``; ``basic`` is in `base`."""
