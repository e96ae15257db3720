"""Networks: functions from plain values to a Keras model."""
