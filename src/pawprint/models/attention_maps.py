"""Where a network looks: what each place of a picture says for the answer."""

from typing import Any

import keras
import numpy as np
from keras import layers

FEWEST_PLACES = 8  # along a side, for a map to tell places apart
ENDS = layers.GlobalAveragePooling2D | layers.Flatten  # of a network's pictures: then its head


def with_maps(model: keras.Model, *, mirror: bool = False) -> keras.Model:
    """The network with a second output: how much each place speaks for the answer.

    A place's value is the product of its features with the gradient, with respect to them, of the
    logit of the most probable class, logits counted from their mean over the classes. For the last
    features under average pooling and one dense layer that is the class activation map (Zhou et
    al. 2016, arXiv:1512.04150), under a hidden layer in between Grad-CAM (Selvaraju et al. 2017,
    arXiv:1610.02391), for flattened or earlier ones HiResCAM (Draelos and Carin 2020,
    arXiv:2011.08891). The features are the last ones with at least eight places along a side
    whose gradient can be written out here; else those that are pooled or flattened. Written out,
    it is exported like any other layer.

    Args:
        model: from uint8 pictures (n, size, size, 3) to one sigmoid unit or a softmax, with one
            ``GlobalAveragePooling2D`` or ``Flatten`` and behind it ``Dense`` with ReLU,
            ``BatchNormalization`` and ``Dropout`` only, before the last ``Dense``.
        mirror: whether the answer is the mean over a picture and its mirror image, and the map
            the mean of both, turned back. Defaults to False.

    Returns:
        A model from the same pictures to a probability per class (n, classes) and maps float32
        (n, height, width), of the size of the features.

    Raises:
        ValueError: the head has another layer.
    """
    if reason := reason_without_maps(model):
        raise ValueError(reason)
    pictures = keras.Input(model.input_shape[1:], dtype="uint8", name="pictures")
    # One pass over twice as many pictures: an exported file holds the network once.
    shown = keras.ops.concatenate([pictures, mirrored(pictures)], axis=0) if mirror else pictures
    target, path = _path(model)
    tensors = {id(t): t for layer in path for t in (*_inputs(layer), layer.output)}
    values = keras.Model(model.inputs[0], list(tensors.values()), name=model.name)(shown)
    values_of = dict(zip(tensors, values, strict=True))
    answers = values_of[id(model.outputs[0])]
    if answers.shape[-1] == 1:
        answers = keras.ops.concatenate([1 - answers, answers], axis=-1)
    if mirror:
        halves = keras.ops.reshape(answers, (2, -1, answers.shape[-1]))
        answers = keras.ops.mean(halves, axis=0)
    # Not by argmax, which does not export.
    largest = keras.ops.max(answers, axis=-1, keepdims=True)
    chosen = keras.ops.cast(answers >= largest, "float32")
    if mirror:
        chosen = keras.ops.concatenate([chosen, chosen], axis=0)
    gradient = _gradient(path, target, values_of, chosen)
    maps = keras.ops.sum(keras.ops.cast(values_of[id(target)], "float32") * gradient, axis=-1)
    if mirror:
        halves = keras.ops.reshape(maps, (2, -1, *maps.shape[1:]))
        maps = (halves[0] + mirrored(halves[1])) / 2
    return keras.Model(pictures, [answers, maps], name=model.name)


def mirrored(pictures: Any) -> Any:
    """The mirror images of a Keras tensor (n, height, width, ...)."""
    # By numbers of columns: ONNX has no operation that turns an axis round.
    return keras.ops.take(pictures, list(reversed(range(pictures.shape[2]))), axis=2)


def reason_without_maps(model: keras.Model) -> str | None:
    """Why ``with_maps`` cannot explain a network; None where it can.

    Nothing is computed and no random number drawn: any network can be asked at any time.
    """
    ends = [place for place, layer in enumerate(model.layers) if isinstance(layer, ENDS)]
    if len(ends) != 1:
        return f"{model.name} has {len(ends)} layers that end its pictures, not one"
    *hidden, last = model.layers[ends[0] :]
    for layer in hidden[1:]:
        rectified = isinstance(layer, layers.Dense) and _rectifies(layer)
        if not rectified and not isinstance(layer, layers.BatchNormalization | layers.Dropout):
            return f"the gradient of {layer.name} ({type(layer).__name__}) is not written out"
    units, activation = getattr(last, "units", None), getattr(last, "activation", None)
    fitting = keras.activations.sigmoid if units == 1 else keras.activations.softmax
    if not isinstance(last, layers.Dense) or activation is not fitting:
        return f"{last.name} is neither one sigmoid unit nor a softmax over the classes"
    return None


def _path(model: keras.Model) -> tuple[Any, list[layers.Layer]]:
    """The features to look at, and the layers from there to the answer, in their order."""
    end = next(i for i, layer in enumerate(model.layers) if isinstance(layer, ENDS))
    target = model.layers[end].input
    start = end
    for place in range(end - 1, -1, -1):
        if min(target.shape[1:3]) >= FEWEST_PLACES or not _written_out(model.layers[place]):
            break
        before = model.layers[place - 1]
        if _rectifies(before) and _inputs(model.layers[place]) == [before.output]:
            target, start = before.output, place
    return target, model.layers[start:]


def _inputs(layer: layers.Layer) -> list[Any]:
    return list(layer.input) if isinstance(layer.input, list | tuple) else [layer.input]


def _rectifies(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.ReLU) or (
        isinstance(layer, layers.Conv2D | layers.Dense)
        and layer.activation is keras.activations.relu
    )


def _written_out(layer: layers.Layer) -> bool:
    if isinstance(layer, layers.MaxPooling2D):
        return layer.pool_size == layer.strides and layer.padding == "valid"
    if isinstance(layer, layers.Conv2D):
        return (
            not isinstance(layer, layers.DepthwiseConv2D)
            and layer.strides == layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and layer.activation in (keras.activations.linear, keras.activations.relu)
        )
    return isinstance(layer, layers.ReLU | layers.BatchNormalization | layers.Add | layers.Dropout)


def _gradient(path: list[layers.Layer], target: Any, values_of: dict[int, Any], chosen: Any) -> Any:
    """Of the chosen class's logit (one-hot, (n, classes)) with respect to ``target``."""
    *inner, last = path
    # Weights as numbers: as variables they would become inputs of the exported network.
    kernel = _numbers(last.kernel)
    if kernel.shape[-1] == 1:  # one logit: what speaks for a class speaks against the other
        logits = np.concatenate([-kernel, kernel], axis=-1)
    else:
        logits = kernel - kernel.mean(axis=-1, keepdims=True)
    found = {id(last.input): keras.ops.matmul(chosen, logits.T)}
    convolved = {id(layer.output) for layer in inner if isinstance(layer, layers.Conv2D)}
    factors: dict[int, np.ndarray] = {}
    for layer in reversed(inner):
        tensor = id(_inputs(layer)[0])
        if isinstance(layer, layers.BatchNormalization) and tensor in convolved:
            # Folded into the kernel, as the export does it: so its file holds that once.
            factors[tensor] = _factors(layer)
            gradient = found[id(layer.output)]
        else:
            gradient = _through(layer, found[id(layer.output)], values_of, factors)
        for tensor in _inputs(layer):
            known = found.get(id(tensor))
            found[id(tensor)] = gradient if known is None else known + gradient
    return found[id(target)]


def _factors(normalisation: layers.BatchNormalization) -> np.ndarray:
    variance = normalisation.moving_variance + normalisation.epsilon
    return keras.ops.convert_to_numpy(keras.ops.rsqrt(variance) * normalisation.gamma)


def _through(
    layer: layers.Layer, gradient: Any, values_of: dict[int, Any], factors: dict[int, np.ndarray]
) -> Any:
    """From the gradient with respect to what comes out of a layer to that of what goes in."""
    after, before = values_of[id(layer.output)], values_of[id(_inputs(layer)[0])]
    if _rectifies(layer):
        gradient = gradient * keras.ops.cast(after > 0, "float32")
    if isinstance(layer, layers.ReLU | layers.Add | layers.Dropout):
        return gradient
    if isinstance(layer, layers.Dense) and layer.activation is keras.activations.relu:
        # The kernel comes first as it is: so the exported file holds it once.
        return keras.ops.matmul(_numbers(layer.kernel), gradient[..., None])[..., 0]
    if isinstance(layer, layers.BatchNormalization):
        return keras.ops.multiply(gradient, _factors(layer))
    if isinstance(layer, layers.Flatten):
        return keras.ops.reshape(gradient, (-1, *before.shape[1:]))
    if isinstance(layer, layers.GlobalAveragePooling2D):
        _, height, width, _ = before.shape
        share = np.full((1, height, width, 1), 1 / (height * width), np.float32)
        return keras.ops.multiply(gradient[:, None, None, :], share)
    if isinstance(layer, layers.Conv2D):
        back = layers.Conv2DTranspose(
            before.shape[-1], layer.kernel_size, padding=layer.padding, use_bias=False
        )
        gradient = back(gradient)
        back.set_weights([_numbers(layer.kernel) * factors.get(id(layer.output), 1)])
        return gradient
    if isinstance(layer, layers.MaxPooling2D):
        gradient, largest = (_unpooled(x, layer.pool_size, before) for x in (gradient, after))
        return gradient * keras.ops.cast(before >= largest, "float32")
    raise ValueError(f"the gradient of {layer.name} is not written out")


def _unpooled(pooled: Any, sides: tuple[int, int], before: Any) -> Any:
    """Each pooled value at all places that it was pooled from; 0 where the rest is too small."""
    _, height, width, channels = pooled.shape
    down, across = sides
    ones = np.ones((1, 1, down, 1, across, 1), np.float32)
    wide = keras.ops.reshape(pooled, (-1, height, 1, width, 1, channels))
    wide = keras.ops.multiply(keras.ops.cast(wide, "float32"), ones)
    wide = keras.ops.reshape(wide, (-1, height * down, width * across, channels))
    missing = before.shape[1] - height * down, before.shape[2] - width * across
    return keras.ops.pad(wide, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))


def _numbers(weights: Any) -> np.ndarray:
    tensor = keras.ops.convert_to_tensor(weights)
    return keras.ops.convert_to_numpy(tensor).astype(np.float32)
