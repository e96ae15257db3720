"""Networks: functions from plain values to a Keras model, by name in `build.NETWORKS`."""
