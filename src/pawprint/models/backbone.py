"""Networks that have seen other pictures: of keras.applications, of a file, of KerasHub."""

import contextlib
import difflib
import functools
import inspect
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers

from pawprint.config.paths import backbone_file, is_hub, weights_file
from pawprint.models.hub import hub_pixels, load_hub
from pawprint.system.errors import UserError, one_line


@dataclass(frozen=True)
class Pixels:
    """How a backbone wants to see pixels.

    Attributes:
        scale: what to multiply 0 to 255 with, a number or one per channel.
        offset: what to add then, likewise.
        order: which of red, green and blue comes first, second and third.
    """

    scale: float | Sequence[float] = 1.0
    offset: float | Sequence[float] = 0.0
    order: tuple[int, ...] = (0, 1, 2)


# Of ImageNet's red, green and blue, of 0 to 1.
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# What backbones want to see, by the name of a way.
PIXELS: Mapping[str, Pixels] = MappingProxyType(
    {
        "as_they_are": Pixels(),  # for those that scale themselves
        "zero_to_one": Pixels(1 / 255),
        "minus_one_to_one": Pixels(1 / 127.5, -1.0),
        "imagenet": Pixels((1 / 255 / _DEVIATION).tolist(), (-_MEAN / _DEVIATION).tolist()),
        "lite": Pixels(1 / 128, -127 / 128),  # EfficientNet-Lite
    }
)


def load_backbone(
    image_size: int | None, name: str, *, alpha: float | None, weights: str
) -> tuple[keras.Model, Pixels | None]:
    """Load or build a backbone, in layers that can be exported.

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
        A functional model called "backbone", without models in it, from float32 pictures (n,
        image_size, image_size, 3) to maps (n, height, width, channels); and how it wants to see
        pixels, None where that is not known.

    Raises:
        UserError: no backbone has that name, it cannot be built like that, or its weights are
            missing or do not fit.
    """
    file, pixels, random = backbone_file(name), None, weights == "none"
    if alpha is not None and (file or is_hub(name)):
        raise UserError(
            f"model.alpha is {alpha}, but the width of {name} is its own; set model.alpha to null"
        )
    if is_hub(name):
        backbone = load_hub(name, image_size, random=random)
        if found := hub_pixels(name):
            pixels = Pixels(*found)
    elif file:
        backbone = _from_file(image_size, file, random=random)
        if _scales_itself(_config_of(file)):
            pixels = Pixels()
    else:
        backbone = _from_applications(image_size, name, alpha, weights)
        backbone, pixels = exportable(backbone, statistics(weights)), pixels_of(name)
    for layer in backbone.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    backbone.name = "backbone"
    return backbone, pixels


def preprocessing(pictures: Any, pixels: Pixels) -> Any:
    """Scale pixels as a backbone wants to see them, in layers that export.

    Args:
        pictures: Keras tensor, uint8 (n, size, size, 3), RGB.
        pixels: how it wants to see them.

    Returns:
        Keras tensor, float32, of the same shape.
    """
    if pixels.order != (0, 1, 2):
        pictures = keras.ops.take(pictures, list(pixels.order), axis=-1)
    return layers.Rescaling(pixels.scale, pixels.offset, dtype="float32", name="preprocessing")(
        pictures
    )


def chosen_pixels(
    own: Pixels | None,
    backbone: str,
    *,
    pixels: str | None,
    scale: float | Sequence[float] | None,
    offset: float | Sequence[float] | None,
) -> Pixels:
    """How a backbone is to see pixels, as configured or else as its ``own`` way is.

    Args:
        own: as by ``load_backbone``.
        backbone: what a sentence calls it.
        pixels: key of ``PIXELS``.
        scale: what to multiply pixels of 0 to 255 with, in place of ``pixels``.
        offset: what to add then; None for 0.

    Raises:
        UserError: nobody says what it wants to see.
    """
    if scale is not None:
        return Pixels(scale, 0.0 if offset is None else offset)
    if pixels is not None:
        return PIXELS[pixels]
    if own is None:
        *others, last = PIXELS
        raise UserError(
            f"model.backbone {backbone} does not say how it wants to see pixels; set model.pixels "
            f"to {', '.join(others)} or {last}, or model.scale and model.offset"
        )
    return own


# Layers that can be exported


def exportable(
    backbone: keras.Model, given: tuple[np.ndarray, np.ndarray] | None = None
) -> keras.Model:
    """The same network, with layers that can be trained and exported in place of others.

    Args:
        backbone: a functional model.
        given: mean and deviation of Normalization that keeps its values among the weights, in
            place of these. Defaults to None: these.
    """
    plain = all(_rewritten(layer, given) is None for layer in backbone.layers)
    return backbone if plain else _copy(backbone, given=given)


def _copy(
    model: keras.Model,
    pictures: Any = None,
    *,
    given: tuple[np.ndarray, np.ndarray] | None = None,
    random: bool = False,
) -> keras.Model:
    """A network's copy in layers that can be exported, and without models in it.

    Args:
        model: a functional or sequential model.
        pictures: the Keras tensor to build it on. Defaults to one like that of ``model``.
        given: as for ``exportable``.
        random: whether the weights are new ones.
    """
    made: dict[int, Rewriting] = {}
    names: set[str] = set()

    def own(operation: Any) -> Any:
        if _is_network(operation) or not isinstance(operation, layers.Layer):
            return operation
        if id(operation) not in made:
            name = operation.name
            while name in names:  # of another model in the same one
                name += "_"
            names.add(name)
            made[id(operation)] = _rewritten(operation, given, name) or _same(operation, name)
        return made[id(operation)].call

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_network(operation):
            return operation(*args, **kwargs)
        inner = keras.Model(operation.inputs, operation.outputs)
        outputs = inner._run_through_graph(  # noqa: SLF001 - as keras.models.clone_model does
            args, operation_fn=own, call_fn=call
        )
        return outputs if len(outputs) > 1 else outputs[0]

    if pictures is None:
        (like,) = model.inputs
        pictures = keras.Input(like.shape[1:], dtype=like.dtype, name=like.name)
    copy = keras.Model(pictures, call(model, pictures), name=model.name)
    if not random:
        for one in made.values():
            one.set_weights()
    return copy


@dataclass(frozen=True)
class Rewriting:
    """What stands for a layer: how to call it, and its layers with their weights."""

    call: Callable[..., Any]
    parts: list[tuple[layers.Layer, list[np.ndarray]]]

    def set_weights(self) -> None:
        """Give its layers their weights, once they are built."""
        for layer, weights in self.parts:
            pairs = zip(layer.weights, weights, strict=True)
            layer.set_weights([old.reshape(new.shape) for new, old in pairs])


def _rewritten(
    layer: layers.Layer, given: tuple[np.ndarray, np.ndarray] | None, name: str | None = None
) -> Rewriting | None:
    """What is to stand for a layer that cannot be trained and exported; None for any other."""
    name = name or layer.name
    if isinstance(layer, layers.Normalization):
        return Rewriting(own := _rescaling(layer, given, name), [(own, [])])
    if type(layer) is layers.Conv2D and layer.groups > 1:
        return _depthwise(layer, name) if _is_depthwise(layer) else _in_groups(layer, name)
    return None


def _is_network(operation: Any) -> bool:
    """Whether an operation is a model whose layers' order is known."""
    return isinstance(operation, keras.Sequential | keras.Function) and operation.built


def _same(layer: layers.Layer, name: str) -> Rewriting:
    config = layer.get_config() | {"name": name}
    own = type(layer).from_config(config | _dtype(layer))
    return Rewriting(own, [(own, layer.get_weights())])


def _dtype(layer: layers.Layer) -> dict[str, str]:
    """A copy computes as the networks that are built now do, but sees pixels in float32."""
    if isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
        return {}
    scales = isinstance(layer, layers.Rescaling)
    return {"dtype": "float32" if scales else keras.config.dtype_policy().name}


def statistics(weights: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by which networks of keras.applications normalise (EfficientNet).

    ImageNet's, so that networks that have the same weights see the same, whichever way they got
    them. The weights that Keras downloads hold deviations where variances belong, for which
    keras.applications makes up there, and only there
    (https://github.com/tensorflow/tensorflow/issues/49930).
    """
    return _MEAN, np.sqrt(_DEVIATION) if weights == "imagenet" else _DEVIATION


def _rescaling(
    layer: layers.Normalization, given: tuple[np.ndarray, np.ndarray] | None, name: str
) -> layers.Layer:
    if layer.weights and given:
        mean, deviation = given
    else:
        mean, variance = (np.ravel(np.asarray(value)) for value in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())  # as Normalization does
    scale, offset = (1 / deviation).tolist(), (-mean / deviation).tolist()
    return layers.Rescaling(scale, offset, dtype="float32", name=name)


def _is_depthwise(layer: layers.Conv2D) -> bool:
    """Whether a plain convolution has a group per channel, in a form that DepthwiseConv2D has."""
    return layer.kernel.shape[2] == 1 and len(set(layer.strides)) == 1


def _depthwise(layer: layers.Conv2D, name: str) -> Rewriting:
    """A group per channel: the kernel (height, width, 1, filters) is read in the same order."""
    config = layer.get_config() | {"name": name, **_dtype(layer)}
    for key in ("filters", "groups"):
        config.pop(key)
    for key in ("initializer", "regularizer", "constraint"):
        config[f"depthwise_{key}"] = config.pop(f"kernel_{key}")
    config["depth_multiplier"] = layer.filters // layer.groups
    own = layers.DepthwiseConv2D.from_config(config)
    return Rewriting(own, [(own, layer.get_weights())])


def _in_groups(layer: layers.Conv2D, name: str) -> Rewriting:
    """A convolution per group, side by side: TensorFlow has no gradient of others on a CPU."""
    groups = layer.groups
    config = layer.get_config() | {"filters": layer.filters // groups, "groups": 1, **_dtype(layer)}
    parts = [layers.Conv2D.from_config(config | {"name": f"{name}_{i}"}) for i in range(groups)]
    weights = [np.split(value, groups, axis=-1) for value in layer.get_weights()]

    def call(x: Any) -> Any:
        pieces = keras.ops.split(x, groups, axis=-1)
        convolved = [part(piece) for part, piece in zip(parts, pieces, strict=True)]
        return keras.ops.concatenate(convolved, axis=-1)

    return Rewriting(call, [(part, [w[i] for w in weights]) for i, part in enumerate(parts)])


# Networks of keras.applications


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


def pixels_of(name: str) -> Pixels:
    """What keras.applications does to pixels before a network.

    Found by asking the ``preprocess_input`` of the family, which scales and shifts the channels and
    may swap them, about black, red, green and blue: what it does inside a model itself does not
    survive the export to ONNX.
    """
    preprocess_input = sys.modules[_constructor(name).__module__].preprocess_input
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
    answers = np.asarray(preprocess_input(colours.reshape(1, 4, 1, 3))).reshape(4, 3)
    slopes = (answers[1:] - answers[0]) / 255
    order = np.abs(slopes).argmax(axis=0).tolist()
    return Pixels(slopes[order, range(3)].tolist(), answers[0].tolist(), tuple(order))


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
    if not all(np.isfinite(weight).all() for weight in backbone.get_weights()):
        raise UserError(
            f"model.weights {file} has weights that are no numbers; set it to a file without them"
        )


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
    """Whether the first layer of a saved network that computes something scales pixels."""
    return next(_kinds(config), None) in ("Rescaling", "Normalization")


def _kinds(config: Mapping[str, Any]) -> Iterator[str]:
    """Of the layers of a saved network, without those that leave the values of pixels alone."""
    kind, inner = config["class_name"], config.get("config", {}).get("layers")
    if inner is not None:
        for layer in inner:
            yield from _kinds(layer)
    elif not kind.startswith("Random") and kind not in ("InputLayer", "Resizing", "CenterCrop"):
        yield kind


def _read(file: Path, *, random: bool) -> Any:
    """The whole saved network; where new weights are wanted, without those of the file."""
    config = _config_of(file)
    try:
        # Normalization has among its weights how it sees pixels, which is not learned.
        if random and "Normalization" not in _kinds(config):
            return keras.saving.deserialize_keras_object(config)
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises what its layers raise
        raise UserError(
            f"model.backbone {file} cannot be read ({one_line(error)}); it must be of Keras's own "
            "layers, as Keras 3 saves them"
        ) from error


def read_network(file: Path, *, random: bool = False) -> keras.Model:
    """The part of a saved network that sees pictures: all before its average pooling.

    Args:
        file: a `.keras` file.
        random: whether its layers get new weights. Defaults to False.

    Returns:
        A functional model from float32 pictures (n, height, width, 3) of the size that it was built
        for to maps (n, height, width, channels), in layers that can be exported.

    Raises:
        UserError: it is no such file, or no such network.
    """
    model = _read(file, random=random)
    if not _is_network(model):
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
    if not random and not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise UserError(
            f"model.backbone {file} has weights that are no numbers; give a file without them"
        )
    pictures = keras.Input(shapes[0][1:], dtype="float32", name="scaled")
    return _before_pooling(_copy(model, pictures, random=random), file)


def _from_file(image_size: int | None, file: Path, *, random: bool) -> keras.Model:
    """``read_network`` for pictures of that size, or of any."""
    backbone = read_network(file, random=random)
    height, width = backbone.input_shape[1:3]
    sides = (image_size, image_size)
    if (height, width) == sides:
        return backbone
    try:
        pictures = keras.Input((*sides, 3), dtype="float32", name="scaled")
        return _copy(backbone, pictures, random=random)
    except Exception as error:  # what a layer raises that is made for one size
        made_for = f"{height} × {width} pixels" if height else "any size"
        cure = f"set image_size={height}, and growth=none where its layers learn"
        raise UserError(
            f"model.backbone {file} is made for pictures of {made_for} and cannot be built for "
            f"{image_size or 'any size'} ({one_line(error)}); "
            f"{cure if height else 'raise image_size or give another file'}"
        ) from error


def _before_pooling(model: keras.Model, file: Path) -> keras.Model:
    """A network up to the average pooling through which all goes; all of it, if there is none."""
    for layer in reversed(model.layers):
        if isinstance(layer, layers.GlobalAveragePooling2D):
            with contextlib.suppress(ValueError):  # another way leads past it, as in a SE block
                if layer.output is not model.outputs[0]:
                    keras.Model(layer.output, model.outputs)
                return keras.Model(model.inputs, layer.input)
    shapes = [tensor.shape for tensor in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UserError(
            f"model.backbone {file} ends in {shapes} without GlobalAveragePooling2D, where maps of "
            "features (n, height, width, channels) are needed; save it without its top"
        )
    return model
