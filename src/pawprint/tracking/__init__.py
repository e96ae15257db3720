"""Runs and models in MLflow. Only the modules of this package import it, none at its own import."""
