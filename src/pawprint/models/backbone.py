"""Networks that have seen other pictures: of keras.applications, of a file, of KerasHub."""

import difflib
import functools
import inspect
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers

from pawprint.config.paths import backbone_file, is_hub, weights_file
from pawprint.models.hub import hub_pixels, is_depthwise, load_hub
from pawprint.system.errors import UserError, one_line

# Of ImageNet's red, green and blue, of 0 to 1.
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# What backbones want to see, by the name of a way: scale and offset of pixels of 0 to 255.
PIXELS: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "as_they_are": (1.0, 0.0),  # for those that scale themselves
        "zero_to_one": (1 / 255, 0.0),
        "minus_one_to_one": (1 / 127.5, -1.0),
        "imagenet": ((1 / 255 / _DEVIATION).tolist(), (-_MEAN / _DEVIATION).tolist()),
        "lite": (1 / 128, -127 / 128),  # EfficientNet-Lite
    }
)
_FIRST = 4  # layers of a file's network among which its own scaling is looked for


def load_backbone(
    image_size: int | None, name: str, *, alpha: float | None, weights: str
) -> keras.Model:
    """Load or build a backbone, in layers that can be exported to ONNX.

    Args:
        image_size: side of the pictures in pixels. None for any; some backbones then pad as for
            multiples of 32 and see other sizes a little differently.
        name: a constructor of keras.applications, such as "MobileNet", a `.keras` file, or a preset
            of KerasHub, see ``load_hub``.
        alpha: the width, for constructors that have one, above 0; None for its own default.
        weights: "none" for random ones. Else, of a constructor, "imagenet", which Keras downloads
            once, or a file of the backbone without its top, ".weights.h5" or the older ".h5"; a
            `.keras` file and a preset have their own.

    Returns:
        A functional model called "backbone" from float32 pictures (n, image_size, image_size, 3),
        scaled as by ``preprocessing``, to maps (n, height, width, channels).

    Raises:
        UserError: no backbone has that name, it cannot be built like that, or its weights are
            missing or do not fit.
    """
    file = backbone_file(name)
    if alpha is not None and (file or is_hub(name)):
        raise UserError(
            f"model.alpha is {alpha}, but the width of {name} is its own; set model.alpha to null"
        )
    if is_hub(name):
        backbone = load_hub(name, image_size, random=weights == "none")
    elif file:
        backbone = exportable(_from_file(image_size, file, random=weights == "none"))
    else:
        backbone = _from_applications(image_size, name, alpha, weights)
        backbone = exportable(backbone, statistics(weights))
    for layer in _all_layers(backbone):
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    backbone.name = "backbone"
    return backbone


def preprocessing(
    pictures: Any,
    backbone: str,
    *,
    pixels: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> Any:
    """Scale pixels as a backbone wants to see them, in layers that export.

    What keras.applications does before its networks is found by asking the ``preprocess_input`` of
    the family, which scales and shifts the channels and may swap them, about black, red, green and
    blue: what it does inside a model itself does not survive the export to ONNX.

    Args:
        pictures: Keras tensor, uint8 (n, size, size, 3), RGB.
        backbone: see ``load_backbone``.
        pixels: key of ``PIXELS``; None for the way of keras.applications or of a preset, or for
            what a file's network does itself.
        scale: what to multiply pixels of 0 to 255 with, in place of ``pixels``.
        offset: what to add then. Defaults to 0.

    Returns:
        Keras tensor, float32, of the same shape; of 0 to 255 where the backbone itself scales.

    Raises:
        UserError: no backbone has that name, or nobody says what a file's network wants to see.
    """
    order = [0, 1, 2]
    scales: float | list[float]
    offsets: float | list[float]
    file = backbone_file(backbone)
    if scale is not None:
        scales, offsets = scale, 0.0 if offset is None else offset
    elif pixels is not None:
        scales, offsets = PIXELS[pixels]
    elif file is not None:
        if not _scales_itself(_config_of(file)):
            *others, last = PIXELS
            raise UserError(
                f"model.backbone {file} does not say how it wants to see pixels; set model.pixels "
                f"to {', '.join(others)} or {last}, or model.scale and model.offset"
            )
        scales, offsets = PIXELS["as_they_are"]
    elif is_hub(backbone):
        scales, offsets = hub_pixels(backbone)
    else:
        preprocess_input = sys.modules[_constructor(backbone).__module__].preprocess_input
        colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
        answers = np.asarray(preprocess_input(colours.reshape(1, 4, 1, 3))).reshape(4, 3)
        slopes = (answers[1:] - answers[0]) / 255
        order = np.abs(slopes).argmax(axis=0).tolist()
        scales, offsets = slopes[order, range(3)].tolist(), answers[0].tolist()
    if order != [0, 1, 2]:
        pictures = keras.ops.take(pictures, order, axis=-1)
    rescaling = layers.Rescaling(scales, offsets, dtype="float32", name="preprocessing")
    return rescaling(pictures)


def exportable(
    backbone: keras.Model, given: tuple[np.ndarray, np.ndarray] | None = None
) -> keras.Model:
    """The same backbone with layers that tf2onnx can write in place of those that it cannot.

    Normalization becomes Rescaling. A convolution with a group per channel (ConvNeXt) becomes a
    depthwise one.

    Args:
        backbone: a functional model.
        given: mean and deviation of Normalization that keeps its values among the weights, in
            place of these. Defaults to None: these.
    """

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.Normalization):
            return _rescaling(layer, given)
        if is_depthwise(layer):
            return _depthwise(layer, config)
        return type(layer).from_config(config)

    if not any(
        isinstance(layer, layers.Normalization) or is_depthwise(layer)
        for layer in _all_layers(backbone)
    ):
        return backbone
    copy = keras.models.clone_model(backbone, clone_function=clone, recursive=True)
    for layer, own in zip(_all_layers(backbone), _all_layers(copy), strict=True):
        if own.weights and not isinstance(own, keras.Model):
            kept = zip(own.get_weights(), layer.get_weights(), strict=True)
            own.set_weights([old.reshape(new.shape) for new, old in kept])
    return copy


def statistics(weights: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by which networks of keras.applications normalise (EfficientNet).

    ImageNet's, so that networks that have the same weights see the same, whichever way they got
    them. The weights that Keras downloads hold deviations where variances belong, for which
    keras.applications makes up there, and only there
    (https://github.com/tensorflow/tensorflow/issues/49930).
    """
    return _MEAN, np.sqrt(_DEVIATION) if weights == "imagenet" else _DEVIATION


def _rescaling(
    layer: layers.Normalization, given: tuple[np.ndarray, np.ndarray] | None
) -> layers.Layer:
    if layer.weights and given:
        mean, deviation = given
    else:
        mean, variance = (np.ravel(np.asarray(value)) for value in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())  # as Normalization does
    scale, offset = (1 / deviation).tolist(), (-mean / deviation).tolist()
    return layers.Rescaling(scale, offset, dtype="float32", name=layer.name)


def _depthwise(layer: layers.Conv2D, config: dict[str, Any]) -> layers.Layer:
    """Its kernel (height, width, 1, filters) is the depthwise one, read in the same order."""
    for key in ("filters", "groups"):
        config.pop(key)
    for name in ("initializer", "regularizer", "constraint"):
        config[f"depthwise_{name}"] = config.pop(f"kernel_{name}")
    multiplier = layer.filters // layer.groups
    return layers.DepthwiseConv2D.from_config(config | {"depth_multiplier": multiplier})


def _all_layers(model: keras.Model) -> list[layers.Layer]:
    """The layers of a model and of models in it, in their order."""
    found: list[layers.Layer] = []
    for layer in model.layers:
        inner = _all_layers(layer) if isinstance(layer, keras.Model) else []
        found += [layer, *inner]
    return found


def _constructor(backbone: str) -> Callable[..., keras.Model]:
    found = {k: v for k, v in vars(keras.applications).items() if inspect.isfunction(v)}
    if backbone in found:
        return found[backbone]
    lower = {name.lower(): name for name in found}
    close = difflib.get_close_matches(backbone.lower(), lower, cutoff=0.5)
    offer = f"did you mean {' or '.join(lower[name] for name in close)}?"
    raise UserError(
        f"model.backbone is {backbone!r}, which keras.applications does not have; "
        + (offer if close else f"choose one of {', '.join(sorted(found))}, or a .keras file")
    )


def _from_applications(
    image_size: int | None, name: str, alpha: float | None, weights: str
) -> keras.Model:
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
            f"{alpha} and model.weights {weights} ({one_line(error)}); change one of them"
        ) from None
    except Exception as error:  # Keras raises nothing narrower where a download fails
        if not imagenet:
            raise
        raise UserError(
            f"the ImageNet weights of {name} could not be downloaded, or not be read from Keras's "
            f"cache ({one_line(error)}); set model.weights to a .h5 file that has them"
        ) from error
    if file is not None:
        _load_weights(backbone, file, f"{name} with model.alpha {alpha}")
    return backbone


def _load_weights(backbone: keras.Model, file: Path, described: str) -> None:
    try:
        with warnings.catch_warnings():  # one per layer where a file is of another Keras
            warnings.simplefilter("ignore", UserWarning)
            backbone.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            f"model.weights {file} does not fit model.backbone {described} and without its top "
            f"({one_line(error)}); set it to a file that does, .weights.h5 as Keras 3 saves them "
            "or .h5 as Keras 2 did"
        ) from error
    _check_finite(backbone, f"model.weights {file}")


def _check_finite(backbone: keras.Model, what: str) -> None:
    if not all(np.isfinite(weight).all() for weight in backbone.get_weights()):
        raise UserError(f"{what} has weights that are no numbers; set it to a file without them")


# Networks that somebody saved


def _config_of(file: Path) -> dict[str, Any]:
    """What a `.keras` file says of its network, weights apart."""
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"model.backbone {file} is no network as Keras saves it ({one_line(error)}); save one "
            "by `model.save('NAME.keras')` of Keras 3"
        ) from None
    return dict(config)


def _scales_itself(config: Mapping[str, Any]) -> bool:
    """Whether one of the first layers of a saved network scales pixels."""
    if config["class_name"] in ("Rescaling", "Normalization"):
        return True
    inner = config.get("config", {}).get("layers", [])[:_FIRST]
    return any(_scales_itself(layer) for layer in inner)


def read_network(file: Path) -> keras.Model:
    """The part of a saved network that sees pictures: all before its average pooling.

    Args:
        file: a `.keras` file.

    Returns:
        A functional model from pictures (n, height, width, 3) of the size and the type that it was
        built for to maps (n, height, width, channels).

    Raises:
        UserError: it is no such file, or no such network.
    """
    _config_of(file)  # whether it is such a file
    try:
        model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises what its layers raise
        raise UserError(
            f"model.backbone {file} cannot be read ({one_line(error)}); it must be of Keras's own "
            "layers, as Keras 3 saves them"
        ) from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UserError(
            f"model.backbone {file} is a network that does not tell its layers' order; give a "
            "functional or sequential one that was built before it was saved"
        )
    shapes = [tensor.shape for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        raise UserError(
            f"model.backbone {file} takes {shapes}, not pictures (n, height, width, 3); give "
            "another file"
        )
    return keras.Model(model.inputs[0], _maps_of(model, file))


def _from_file(image_size: int | None, file: Path, *, random: bool) -> keras.Model:
    """``read_network`` for float pictures of that size; with ``random`` its layers begin anew."""
    model = _for_pictures(read_network(file), image_size, file)
    if not random:
        _check_finite(model, f"model.backbone {file}")
        return model
    new = keras.models.clone_model(model)
    for layer, own in zip(_all_layers(model), _all_layers(new), strict=True):
        if isinstance(layer, layers.Normalization):  # how it sees pixels is not learned
            own.set_weights(layer.get_weights())
    return new


def _maps_of(model: keras.Model, file: Path) -> Any:
    """The features (n, height, width, channels) that come last in a network with or without top."""
    ends = [layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D)]
    if ends:
        return ends[-1].input
    if len(model.outputs) == 1 and len(model.outputs[0].shape) == 4:
        return model.outputs[0]
    raise UserError(
        f"model.backbone {file} ends in {model.outputs[0].shape} without GlobalAveragePooling2D, "
        "where maps of features (n, height, width, channels) are needed; save it without its top"
    )


def _for_pictures(model: keras.Model, image_size: int | None, file: Path) -> keras.Model:
    """The same network for float pictures of that size."""
    height, width = model.inputs[0].shape[1:3]
    whole = model.inputs[0].dtype.startswith("float")
    if (height, width) in {(image_size, image_size), (None, None)} and whole:
        return model
    pictures = keras.Input((image_size, image_size, 3), dtype="float32", name="scaled")
    try:
        copy = keras.models.clone_model(model, input_tensors=pictures)
        copy.set_weights(model.get_weights())
        return copy
    except Exception as error:  # noqa: BLE001 - what a layer raises that is made for one size
        raise UserError(
            f"model.backbone {file} is made for pictures of {height} × {width} pixels and cannot "
            f"be built for {image_size or 'any size'} ({one_line(error)}); set "
            f"image_size={height}, and growth=none where its layers learn"
        ) from None
