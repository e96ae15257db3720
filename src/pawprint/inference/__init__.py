"""Answers of an exported network, without TensorFlow and MLflow: for a picture, or for millions."""
