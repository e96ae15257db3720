"""Sweeps: many trainings under one parent run, of which each is done once.

`sweep.run_sweep` is the story. Hydra enters by `hydra_plugins.pawprint`.
"""
