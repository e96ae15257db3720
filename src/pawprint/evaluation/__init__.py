"""Figures, tables and plots of a model's answers to pictures it never saw."""
