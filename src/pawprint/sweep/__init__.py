"""Sweeps: many trainings under one parent run, of which each is done once."""
