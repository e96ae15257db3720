"""A network that has seen other pictures, under a head of our own."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from pawprint.models.backbone import chosen_pixels, load_backbone, preprocessing
from pawprint.models.head import probabilities_layer

# Backbones halve pictures five times; some pad otherwise where that leaves a rest.
HALVED = 32
# Of the moving statistics of layers that learn: the backbones' own is for millions of pictures.
MOMENTUM = 0.9


def transfer(
    image_size: int | None,
    classes: int,
    *,
    backbone: str,
    weights: str,
    dense_units: int,
    dropout: float,
    alpha: float | None = None,
    pixels: str | None = None,
    scale: float | Sequence[float] | None = None,
    offset: float | Sequence[float] | None = None,
) -> keras.Model:
    """Build a backbone, average pooling and a head with a hidden layer.

    The preprocessing of the backbone is part of the model. The head normalises its features, which
    are of very different sizes, and computes in float32 whatever the dtype policy. The backbone is
    frozen until ``unfreeze`` says otherwise.

    Args:
        image_size: side of the pictures in pixels. None for any; some backbones then pad as for
            multiples of 32 and see other sizes a little differently.
        classes: number of classes, at least 2.
        backbone: a constructor of keras.applications, or a `.keras` file; see ``load_backbone``.
        weights: "none", or, of a constructor, "imagenet" or a file; see there.
        dense_units: units of the hidden dense layer, at least 1.
        dropout: share dropped before and after it during training, 0 up to 1.
        alpha: the width, for constructors that have one, above 0; None for its own default.
        pixels: how the backbone wants to see pixels; see ``chosen_pixels``.
        scale: what to multiply pixels of 0 to 255 with, in place of ``pixels``; a number, or one
            per channel.
        offset: what to add then. Defaults to 0.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to probabilities, with the
        layers "preprocessing", "backbone", "average" and after it those of the head.

    Raises:
        UserError: no backbone has that name, it cannot be built like that, or its weights are
            missing or do not fit.
    """
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    body, own = load_backbone(image_size, backbone, alpha=alpha, weights=weights)
    way = chosen_pixels(own, backbone, pixels=pixels, scale=scale, offset=offset)
    x = body(preprocessing(pictures, way))
    x = layers.GlobalAveragePooling2D(dtype="float32", name="average")(x)
    x = layers.BatchNormalization(
        momentum=0.9, synchronized=True, dtype="float32", name="normalisation"
    )(x)
    x = layers.Dropout(dropout, dtype="float32", name="dropout_before")(x)
    x = layers.Dense(dense_units, activation="relu", dtype="float32", name="dense")(x)
    x = layers.Dropout(dropout, dtype="float32", name="dropout_after")(x)
    model = keras.Model(pictures, probabilities_layer(classes)(x), name="transfer")
    unfreeze(model, 0)
    return model


def features_model(model: keras.Model) -> keras.Model:
    """The frozen part of ``model``, as built by ``transfer``, with the same weights.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to float32 features (n, d).
    """
    return keras.Model(model.inputs[0], model.get_layer("average").output, name="features")


def head_model(model: keras.Model) -> keras.Model:
    """What ``model``, as built by ``transfer``, does with features; training it trains ``model``.

    Returns:
        A model from float32 features (n, d) to probabilities that shares the layers after
        "average" with ``model``.
    """
    average = model.get_layer("average")
    features = keras.Input(average.output.shape[1:], dtype="float32", name="features")
    x = features
    for layer in model.layers[model.layers.index(average) + 1 :]:
        x = layer(x)
    return keras.Model(features, x, name="head")


def unfreeze(model: keras.Model, share: float) -> int:
    """Let the last layers of the backbone learn and freeze the others; compile afterwards.

    BatchNormalization that learns normalises by the batch and moves its statistics; a frozen one
    does neither. Which layers learn is not saved with the model: say it again after loading.

    Args:
        model: as built by ``transfer``.
        share: of the layers that have weights to learn, 0 (frozen) to 1 (all of them), rounded;
            above 0 at least one layer.

    Returns:
        The number of the backbone's layers that learn.
    """
    backbone = model.get_layer("backbone")
    _let_learn(backbone)  # a frozen layer does not tell what it could learn
    able = _learning(backbone)
    learning = max(1, round(share * len(able))) if share else 0
    for layer, own in able[: len(able) - learning]:
        if len(own) == len(layer.trainable_variables):
            layer.trainable = False
        else:  # it has layers inside it, which may learn
            for variable in own:
                variable.trainable = False
    for layer, _ in able[len(able) - learning :]:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = min(layer.momentum, MOMENTUM)
    return learning


def _learning(outer: layers.Layer) -> list[tuple[layers.Layer, list[Any]]]:
    """The layers inside one that learn, in their order, each with the variables of its own."""
    found: list[tuple[layers.Layer, list[Any]]] = []
    for layer in _inside(outer):
        below = _learning(layer)
        others = {id(variable) for _, own in below for variable in own}
        own = [v for v in layer.trainable_variables if id(v) not in others]
        found += [(layer, own), *below] if own else below
    return found


def _inside(layer: layers.Layer) -> list[layers.Layer]:
    return list(layer.layers if isinstance(layer, keras.Model) else layer._layers)  # noqa: SLF001


def _let_learn(layer: layers.Layer) -> None:
    layer.trainable = True
    for inner in _inside(layer):
        _let_learn(inner)


def rate_factors(model: keras.Model, first: float) -> list[float]:
    """What to multiply the learning rate with, by layer (Howard and Ruder 2018, arXiv:1801.06146).

    Lower layers see what all pictures have, edges and textures, and need to change less.

    Args:
        model: as built by ``transfer``.
        first: factor of the first layer that learns, above 0. It changes by equal ratios from layer
            to layer, up to 1 behind the last one and in the head.

    Returns:
        A factor per variable of ``model.trainable_variables``, in their order.
    """
    learning = _learning(model.get_layer("backbone"))
    factors = {
        id(variable): first ** (1 - place / len(learning))
        for place, (_, own) in enumerate(learning)
        for variable in own
    }
    return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]


def has_depthwise(model: keras.Model) -> bool:
    """Whether a network, or one inside it, has depthwise convolutions."""
    return any(
        has_depthwise(layer)
        if isinstance(layer, keras.Model)
        else isinstance(layer, layers.DepthwiseConv2D | layers.SeparableConv2D)
        for layer in model.layers
    )
