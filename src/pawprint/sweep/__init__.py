"""Sweeps: many trainings under one parent run, each done once; `sweep.run_sweep` is the story."""
