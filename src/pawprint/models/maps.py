"""Where a network looks: class activation maps as part of the network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers


def with_maps(model: keras.Model) -> keras.Model:
    """The network with a second output: how much each place speaks for each class.

    A place's value is the product of its features with the gradient of the class's logit with
    respect to them, logits counted from their mean over the classes. Under average pooling and one
    dense layer that is the class activation map (Zhou et al. 2016, arXiv:1512.04150), with a
    hidden layer in between Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), and for flattened
    features HiResCAM (Draelos and Carin 2020, arXiv:2011.08891). Each network here is piecewise
    linear behind its last pictures of features, so that the gradient is written out, and can be
    exported like any other layer.

    Args:
        model: from uint8 pictures (n, size, size, 3) to one sigmoid unit or a softmax, with one
            ``GlobalAveragePooling2D`` or ``Flatten`` and behind it ``Dense`` with ReLU,
            ``BatchNormalization`` and ``Dropout`` only, before the last ``Dense``.

    Returns:
        A model from the same pictures to a probability per class (n, classes) and maps float32
        (n, height, width, classes), of the size of the features.

    Raises:
        ValueError: the head has another layer.
    """
    places = [
        place
        for place, layer in enumerate(model.layers)
        if isinstance(layer, layers.GlobalAveragePooling2D | layers.Flatten)
    ]
    if len(places) != 1:
        raise ValueError(f"{model.name} has {len(places)} layers that end its pictures, not one")
    pooling, head = model.layers[places[0]], model.layers[places[0] + 1 :]
    features = keras.ops.cast(pooling.input, "float32")
    gradients = _gradients(head, pooling.output)
    _, height, width, channels = features.shape
    if isinstance(pooling, layers.Flatten):
        shape = (-1, height, width, channels, gradients.shape[-1])
        products = keras.ops.expand_dims(features, -1) * keras.ops.reshape(gradients, shape)
        maps = keras.ops.sum(products, axis=3)
    else:
        flat = keras.ops.reshape(features, (-1, height * width, channels))
        maps = keras.ops.matmul(flat, gradients) / (height * width)
        maps = keras.ops.reshape(maps, (-1, height, width, gradients.shape[-1]))
    return keras.Model(model.inputs[0], [_all_probabilities(model), maps], name=model.name)


def _all_probabilities(model: keras.Model) -> Any:
    answers = model.outputs[0]
    if answers.shape[-1] > 1:
        return answers
    return keras.ops.concatenate([1 - answers, answers], axis=-1)


def _gradients(head: list[layers.Layer], pooled: Any) -> Any:
    """Of the logits with respect to what enters the head: (n or 1, features, classes)."""
    seen = [pooled]
    for layer in head[:-1]:
        seen.append(layer(seen[-1]))
    # Weights as numbers: as variables or tensors they would become inputs of the exported network.
    kernel = _numbers(head[-1].kernel)
    if kernel.shape[-1] == 1:  # one logit: what speaks for a class speaks against the other
        gradients = np.concatenate([-kernel, kernel], axis=-1)[np.newaxis]
    else:
        gradients = (kernel - kernel.mean(axis=-1, keepdims=True))[np.newaxis]
    for layer, after in zip(reversed(head[:-1]), reversed(seen[1:]), strict=True):
        if isinstance(layer, layers.Dropout):
            continue
        if isinstance(layer, layers.BatchNormalization):
            deviation = np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
            factors = (_numbers(layer.gamma) / deviation)[:, np.newaxis]
            gradients = keras.ops.multiply(gradients, factors)
        elif isinstance(layer, layers.Dense) and layer.activation is keras.activations.relu:
            alive = keras.ops.expand_dims(keras.ops.cast(after > 0, "float32"), -1)
            gradients = keras.ops.matmul(
                _numbers(layer.kernel), keras.ops.multiply(gradients, alive)
            )
        else:
            raise ValueError(f"the gradient of {layer.name} is not written out")
    return gradients


def _numbers(weights: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weights.value), np.float32)
