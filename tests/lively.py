"""Weights of an untrained network by whose layers a signal neither fades nor explodes."""

import numpy as np


def lively(weights):
    """A layer's weights, kernels scaled."""
    if weights.ndim != 4:
        return weights
    inputs = np.prod(weights.shape[: 2 if weights.shape[3] == 1 else 3])
    return weights / weights.std() * np.sqrt(3 / inputs)
