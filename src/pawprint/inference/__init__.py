"""Answers of an exported network, without TensorFlow and MLflow."""
