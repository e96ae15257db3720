"""Backbones of KerasHub, by a preset's name, its folder or an address. Takes the extra `hub`."""

import functools
import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pawprint.config.paths import hub_preset
from pawprint.system.errors import UserError, one_line

Channels = float | list[float]
_OF_ANY_LAYER = {"name", "trainable", "dtype"}


def load_hub(name: str, image_size: int | None, *, random: bool) -> keras.Model:
    """Load the part of a preset's network that sees pictures, up to its maps of features.

    A transformer's maps are its patches in their places, without class and register tokens: average
    pooling is then the mean over the patches, and each has its own part in an answer.

    Args:
        name: "hub:NAME", "hub:FOLDER", "hf://…" or "kaggle://…", as ``model.backbone``.
        image_size: side of the pictures in pixels; None for any, which transformers do not take.
        random: whether its layers begin with random weights.

    Returns:
        A functional model from float32 pictures (n, image_size, image_size, 3), scaled as
        ``hub_pixels`` says, to maps (n, height, width, channels).

    Raises:
        UserError: there is no such preset, it sees no pictures, or none of this size.
    """
    import keras_hub

    preset = hub_preset(name)
    try:
        kind, config = _kind_of(preset)
        sized = {"image_shape": (image_size, image_size, 3)} if "image_shape" in config else {}
        network = kind.from_preset(preset, load_weights=not random, **sized)
    except UserError:
        raise
    except Exception as error:  # a download, a size, a layer: KerasHub raises what these raise
        raise UserError(
            f"model.backbone {name} cannot be loaded by KerasHub {keras_hub.__version__} with "
            f"image_size={image_size} ({one_line(error)}); give a preset that is there, with "
            "network or in a folder, and the image_size that it was made for"
        ) from error
    network = getattr(network, "vision_encoder", None) or network
    given = network.input
    given = given["images"] if isinstance(given, dict) else given
    side = given.shape[1]
    if side not in (None, image_size):
        raise UserError(
            f"model.backbone {name} is made for pictures of {side} pixels; set image_size={side}, "
            "and growth=none where its layers learn"
        )
    maps = _maps_of(network, given)
    if maps is None:
        raise UserError(f"model.backbone {name} has no features of places in a picture")
    for layer in maps._flatten_layers():  # noqa: SLF001  (layers in layers have no other way)
        _mend(layer)
    for layer in maps.layers:
        _mend_config(layer)
    return maps


def hub_pixels(name: str) -> tuple[Channels, Channels] | None:
    """How a preset's network wants to see pixels of 0 to 255: scale and offset, a number or three.

    None where the preset does not say.
    """
    import keras_hub

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(hub_preset(name))
    except (ValueError, OSError):
        return None
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return np.asarray(scale).tolist(), np.asarray(offset).tolist()


def _kind_of(preset: str) -> tuple[Any, dict[str, Any]]:
    """The class of a preset's network, and its arguments."""
    from keras_hub.src.utils.preset_utils import get_preset_loader

    loader = get_preset_loader(preset)
    return loader.check_backbone_class(), loader.config.get("config", {})


def _maps_of(network: keras.Model, given: Any) -> keras.Model | None:
    """A network up to its last features that have places, (n, height, width, channels)."""
    for place, layer in reversed(list(enumerate(network.layers))):
        output = layer.output
        if isinstance(output, list | tuple | dict):
            continue
        if len(output.shape) == 4:
            return keras.Model(given, output)
        if len(output.shape) == 3:
            tokens = _told_right(keras.Model(given, output), network.layers[1 : place + 1])
            side = given.shape[1] // int(np.ravel(network.patch_size)[0])
            x, others = tokens.output, tokens.output.shape[1] - side**2
            if others:  # at the begin, of no place
                x = layers.Cropping1D((others, 0), name="patches")(x)
            places = layers.Reshape((side, side, x.shape[-1]), name="places")(x)
            return keras.Model(tokens.inputs[0], places)
    return None


def _told_right(tokens: keras.Model, chain: list[layers.Layer]) -> keras.Model:
    """The network itself, or with the shape that its tokens have: KerasHub 0.32 errs on SigLIP's.

    Args:
        tokens: from pictures to tokens (n, tokens, channels).
        chain: its layers behind the input.
    """
    if (
        tokens(np.zeros((1, *tokens.input_shape[1:]), np.float32)).shape[1]
        == tokens.output_shape[1]
    ):
        return tokens
    x = given = keras.Input(tokens.input_shape[1:], dtype="float32", name="pictures")
    for layer in chain:
        kind = type(layer)
        if kind.__module__.startswith("keras_hub"):  # Keras then finds it by itself
            kind.compute_output_shape = layers.Layer.compute_output_shape
        x = layer(x)
    return keras.Model(given, x)


def _mend(layer: layers.Layer) -> None:
    """Make a layer fit to be exported to ONNX."""
    for key, value in vars(layer).items():
        # What was computed once would be an input of the exported network.
        if keras.ops.is_tensor(value) and not isinstance(value, keras.Variable):
            setattr(layer, key, keras.ops.convert_to_numpy(value))
    if type(layer) is layers.Conv2D and layer.groups > 1 and layer.kernel.shape[2] == 1:
        # As a convolution in groups it cannot be written.
        layer.convolution_op = functools.partial(_depthwise, layer)


def _mend_config(layer: layers.Layer) -> None:
    """Have a layer of KerasHub 0.32 write what it takes, so that it can be cloned and saved."""
    kind, written = type(layer), type(layer).get_config
    if not kind.__module__.startswith("keras_hub"):
        return
    try:
        kind.from_config(layer.get_config())
    except TypeError:
        taken = inspect.signature(kind.__init__).parameters.keys() | _OF_ANY_LAYER
        kind.get_config = lambda self: {k: v for k, v in written(self).items() if k in taken}


def _depthwise(layer: layers.Conv2D, pictures: Any, kernel: Any) -> Any:
    """What a convolution with a group per channel does."""
    height, width, _, filters = kernel.shape
    shape = (height, width, layer.groups, filters // layer.groups)
    return keras.ops.depthwise_conv(
        pictures,
        keras.ops.reshape(kernel, shape),
        strides=layer.strides[0],
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
    )


def preset_files(name: str) -> list[Path]:
    """The files of a preset in a folder, sorted; none where it is known by its name."""
    folder = Path(hub_preset(name))
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
