"""A network of keras.applications with its ImageNet weights under a head of our own."""

import difflib
import functools
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pawprint.config.paths import weights_file
from pawprint.models.head import probabilities_layer
from pawprint.system.errors import UserError

# Backbones halve pictures five times; some pad otherwise where that leaves a rest.
HALVED = 32
# Of the moving statistics of layers that learn: the backbones' own is for millions of pictures.
MOMENTUM = 0.9
# Of ImageNet's red, green and blue, of 0 to 1.
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def transfer(
    image_size: int | None,
    classes: int,
    *,
    backbone: str,
    weights: str,
    dense_units: int,
    dropout: float,
    alpha: float | None = None,
) -> keras.Model:
    """Build a backbone of keras.applications, average pooling and a head with a hidden layer.

    The backbone's own preprocessing is part of the model. The head normalises its features, which
    are of very different sizes, and computes in float32 whatever the dtype policy. The backbone is
    frozen until ``unfreeze`` says otherwise.

    Args:
        image_size: side of the pictures in pixels. None for any; some backbones then pad as for
            multiples of 32 and see other sizes a little differently.
        classes: number of classes, at least 2.
        backbone: a constructor of keras.applications by its name, such as "MobileNet".
        alpha: its width, for backbones that have one, above 0; None for its own default.
        weights: "imagenet", which Keras downloads once, "none" for random ones, or a file of the
            backbone without its top, ".weights.h5" or the older ".h5".
        dense_units: units of the hidden dense layer, at least 1.
        dropout: share dropped before and after it during training, 0 up to 1.

    Returns:
        A model from uint8 pictures (n, image_size, image_size, 3) to probabilities, with the
        layers "preprocessing", "backbone", "average" and after it those of the head.

    Raises:
        UserError: no backbone has that name, it cannot be built like that, or its weights are
            missing or do not fit.
    """
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    body = _backbone(image_size, backbone, alpha, weights)
    x = body(preprocessing(pictures, backbone))
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
    for layer in (backbone, *backbone.layers):
        layer.trainable = True  # a frozen layer does not tell what it could learn
    able = [layer for layer in backbone.layers if layer.trainable_variables]
    learning = max(1, round(share * len(able))) if share else 0
    for layer in able[: len(able) - learning]:
        layer.trainable = False
    for layer in able[len(able) - learning :]:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = min(layer.momentum, MOMENTUM)
    return learning


def rate_factors(model: keras.Model, first: float) -> list[float]:
    """What to multiply the learning rate with, by layer (Howard and Ruder 2018, arXiv:1801.06146).

    Lower layers see what all pictures have, edges and textures, and need to change less.

    Args:
        model: as built by ``transfer``.
        first: factor of the backbone's first layer, above 0. It changes by equal ratios from layer
            to layer, up to 1 behind the last one and in the head.

    Returns:
        A factor per variable of ``model.trainable_variables``, in their order.
    """
    able = [layer for layer in model.get_layer("backbone").layers if layer.weights]
    factors = {
        id(variable): first ** (1 - place / len(able))
        for place, layer in enumerate(able)
        for variable in layer.trainable_variables
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


def preprocessing(pictures: Any, backbone: str) -> Any:
    """What keras.applications does to pixels before ``backbone``, in layers that export.

    The ``preprocess_input`` of each family scales and shifts the channels, some families also
    swap them. How is found by asking it about black, red, green and blue: what it does inside a
    model itself does not survive the export to ONNX.

    Args:
        pictures: Keras tensor, uint8 (n, size, size, 3), RGB.
        backbone: a constructor of keras.applications by its name.

    Returns:
        Keras tensor, float32, of the same shape; of 0 to 255 where the backbone itself scales.

    Raises:
        UserError: no backbone has that name.
    """
    preprocess_input = sys.modules[_constructor(backbone).__module__].preprocess_input
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
    answers = np.asarray(preprocess_input(colours.reshape(1, 4, 1, 3))).reshape(4, 3)
    offset, slopes = answers[0], (answers[1:] - answers[0]) / 255
    order = np.abs(slopes).argmax(axis=0)
    scale = slopes[order, range(3)]
    if list(order) != [0, 1, 2]:
        pictures = keras.ops.take(pictures, order.tolist(), axis=-1)
    rescaling = layers.Rescaling(
        scale.tolist(), offset.tolist(), dtype="float32", name="preprocessing"
    )
    return rescaling(pictures)


def rescaling_for_normalization(backbone: keras.Model, *, downloaded: bool) -> keras.Model:
    """The same backbone with Rescaling for each Normalization, which does not export to ONNX.

    Where Normalization keeps its values among the weights (EfficientNet), ImageNet's take their
    place: so networks that have the same weights see the same, whichever way they got them.

    Args:
        backbone: a functional model.
        downloaded: whether keras.applications built it with ImageNet's weights. Their EfficientNet
            holds deviations where variances belong, for which keras.applications makes up there,
            and only there (https://github.com/tensorflow/tensorflow/issues/49930).
    """

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, layers.Normalization):
            return type(layer).from_config(config)
        if layer.weights:
            mean, deviation = _MEAN, np.sqrt(_DEVIATION) if downloaded else _DEVIATION
        else:
            mean, deviation = np.ravel(config["mean"]), np.sqrt(np.ravel(config["variance"]))
        scale, offset = (1 / deviation).tolist(), (-mean / deviation).tolist()
        return layers.Rescaling(scale, offset, dtype="float32", name=layer.name)

    if not any(isinstance(layer, layers.Normalization) for layer in backbone.layers):
        return backbone
    copy = keras.models.clone_model(backbone, clone_function=clone)
    for layer, own in zip(backbone.layers, copy.layers, strict=True):
        if own.weights:
            own.set_weights(layer.get_weights())
    return copy


def _constructor(backbone: str) -> Callable[..., keras.Model]:
    found = {k: v for k, v in vars(keras.applications).items() if inspect.isfunction(v)}
    # Neither their grouped convolutions nor their exact GELU can be expressed by tf2onnx.
    offered = {name: make for name, make in found.items() if not name.startswith("ConvNeXt")}
    if backbone in offered:
        return offered[backbone]
    if backbone in found:
        raise UserError(
            f"model.backbone is {backbone}, which cannot be exported to ONNX; choose another, "
            "such as EfficientNetV2B0"
        )
    lower = {name.lower(): name for name in offered}
    close = difflib.get_close_matches(backbone.lower(), lower, cutoff=0.5)
    offer = f"did you mean {' or '.join(lower[name] for name in close)}?"
    raise UserError(
        f"model.backbone is {backbone!r}, which keras.applications does not have; "
        + (offer if close else f"choose one of {', '.join(sorted(offered))}")
    )


def _backbone(image_size: int | None, name: str, alpha: float | None, weights: str) -> keras.Model:
    make = _constructor(name)
    if alpha is not None:
        if "alpha" not in inspect.signature(make).parameters:
            raise UserError(
                f"model.alpha is {alpha}, but {name} has no alpha; set model.alpha to null"
            )
        make = functools.partial(make, alpha=alpha)
    file, imagenet = weights_file(weights), weights == "imagenet"
    try:
        with warnings.catch_warnings():  # that ImageNet's weights were learned at another size
            warnings.filterwarnings("ignore", ".*input_shape. is undefined or non-square")
            backbone = make(
                include_top=False,
                input_shape=(image_size, image_size, 3),
                weights="imagenet" if imagenet else None,
            )
    except ValueError as error:
        least = re.search(r"Input size must be at least (\d+)", str(error))
        raise UserError(
            f"image_size is {image_size}, but model.backbone {name} needs pictures of at least "
            f"{least[1]} pixels; raise image_size or choose another backbone"
            if least
            else f"model.backbone {name} cannot be built with image_size {image_size}, model.alpha "
            f"{alpha} and model.weights {weights} ({_one_line(error)}); change one of them"
        ) from None
    except Exception as error:  # Keras raises nothing narrower where a download fails
        if not imagenet:
            raise
        raise UserError(
            f"the ImageNet weights of {name} could not be downloaded, or not be read from Keras's "
            f"cache ({_one_line(error)}); set model.weights to a .h5 file that has them"
        ) from error
    if file is not None:
        _load(backbone, file, f"{name} with model.alpha {alpha}")
    backbone = rescaling_for_normalization(backbone, downloaded=imagenet)
    for layer in backbone.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    backbone.name = "backbone"
    return backbone


def _load(backbone: keras.Model, file: Path, described: str) -> None:
    try:
        with warnings.catch_warnings():  # one per layer where a file is of another Keras
            warnings.simplefilter("ignore", UserWarning)
            backbone.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            f"model.weights {file} does not fit model.backbone {described} and without its top "
            f"({_one_line(error)}); set it to a file that does, .weights.h5 as Keras 3 saves them "
            "or .h5 as Keras 2 did"
        ) from error
    if not all(np.isfinite(weight).all() for weight in backbone.get_weights()):
        raise UserError(
            f"model.weights {file} has weights that are no numbers; set it to a file without them"
        )


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), 200, placeholder=" …").rstrip(".")
