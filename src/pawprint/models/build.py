"""The networks that ``model`` chooses from, and how one of them is built.

A new network is a function, an entry in ``NETWORKS``, and ``conf/model/NAME.yaml``;
``tests/models/test_build.py`` then builds and exports it as the others.
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras

from pawprint.models.attention_maps import reason_without_maps
from pawprint.models.convolutional import article, cnn, resnet
from pawprint.models.transfer import transfer
from pawprint.system.errors import UserError

# Each takes the picture size, the number of classes and, by their names, the settings that it
# needs; those with a default may be None.
NETWORKS: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {"article": article, "cnn": cnn, "resnet": resnet, "transfer": transfer}
)
# Those that can be built for pictures of any size, as growing pictures need it.
ANY_SIZE = ("cnn", "resnet", "transfer")


def build_model(name: str, image_size: int | None, classes: int, **settings: Any) -> keras.Model:
    """Build the network called ``name`` (its function is called so).

    Args:
        name: key of ``NETWORKS``.
        image_size: side of the pictures in pixels, or None for any.
        classes: number of classes, at least 2.
        settings: of all networks, of which each takes its own; see there.

    Raises:
        UserError: no network has that name, its values do not fit it, the pictures are too small
            for it, or it could not be exported with its attention maps.
    """
    network = NETWORKS.get(name)
    if network is None:
        *others, last = NETWORKS
        raise UserError(
            f"model.name is {name!r}, but the networks are {', '.join(others)} and {last}; "
            "choose one of them"
        )
    chosen = {}
    for key, parameter in list(inspect.signature(network).parameters.items())[2:]:
        chosen[key] = settings.get(key)
        if chosen[key] is None and parameter.default is parameter.empty:
            raise UserError(f"model.{key} has no value, which model={name} needs; give one")
    model = network(image_size, classes, **chosen)
    # Before anything is trained: an export that fails comes after hours.
    if reason := reason_without_maps(model):
        raise UserError(
            f"model={name} cannot be exported, as its answers cannot be explained: {reason}; "
            "change its layers, or models/attention_maps.py"
        )
    return model
