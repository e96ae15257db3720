"""Predictions from a registered model, without TensorFlow."""
