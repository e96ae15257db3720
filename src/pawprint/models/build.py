"""The networks that ``model`` chooses from, and how one of them is built.

A new network is a function in a file of its own, an entry in ``NETWORKS``, and
``conf/model/NAME.yaml``; ``tests/models/test_build.py`` then builds and exports it as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import keras

from pawprint.models.article import article
from pawprint.models.attention_maps import reason_without_maps
from pawprint.models.cnn import cnn
from pawprint.models.resnet import resnet
from pawprint.models.transfer import transfer
from pawprint.system.errors import UserError


@dataclass(frozen=True)
class Network:
    """A kind of network.

    Attributes:
        build: from the picture size, the number of classes and ``needs`` (and ``takes``) by their
            names to a Keras model.
        needs: arguments of ``build_model`` that it must be given.
        takes: arguments of ``build_model`` that may be None.
        any_size: whether it can be built for pictures of any size, as growing pictures need it.
    """

    build: Callable[..., keras.Model]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    any_size: bool = False


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "article": Network(article, needs=("depth", "width", "dense_units", "dropout")),
        "cnn": Network(cnn, needs=("depth", "width", "dropout"), any_size=True),
        "resnet": Network(resnet, needs=("depth", "width", "dropout"), any_size=True),
        "transfer": Network(
            transfer,
            needs=("backbone", "weights", "dense_units", "dropout"),
            takes=("alpha",),
            any_size=True,
        ),
    }
)
ANY_SIZE = tuple(name for name, network in NETWORKS.items() if network.any_size)


def build_model(
    name: str,
    image_size: int | None,
    classes: int,
    *,
    depth: int,
    width: int | None,
    dense_units: int,
    dropout: float,
    backbone: str | None = None,
    alpha: float | None = None,
    weights: str | None = None,
) -> keras.Model:
    """Build the network called ``name`` (its function is called so); see there for the arguments.

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
    given = {
        "depth": depth,
        "width": width,
        "dense_units": dense_units,
        "dropout": dropout,
        "backbone": backbone,
        "alpha": alpha,
        "weights": weights,
    }
    for key in network.needs:
        if given[key] is None:
            raise UserError(f"model.{key} has no value, which model={name} needs; give one")
    model = network.build(
        image_size, classes, **{key: given[key] for key in (*network.needs, *network.takes)}
    )
    # Before anything is trained: an export that fails comes after hours.
    if reason := reason_without_maps(model):
        raise UserError(
            f"model={name} cannot be exported, as its answers cannot be explained: {reason}; "
            "change its layers, or models/attention_maps.py"
        )
    return model
