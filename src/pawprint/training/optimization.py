"""Optimizers and learning-rate schedules by their names."""

from __future__ import annotations

from typing import Any

import keras

from pawprint.system.errors import UserError
from pawprint.training.optimizers import ConvolutionMuon, FusedAdadelta, FusedAdamW, OneCycle

OPTIMIZERS = {
    "adadelta": FusedAdadelta,
    "adam": keras.optimizers.Adam,
    "adamw": FusedAdamW,
    "muon": ConvolutionMuon,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
# As Keras's Muon calls them: its AdamW has settings of its own, for what no matrix is.
_OF_MUON = {"beta_1": "adam_beta_1", "beta_2": "adam_beta_2"}


def build_optimizer(
    name: str,
    learning_rate: Any,
    arguments: dict[str, float | bool],
    *,
    averaging_steps: float | None = None,
) -> keras.optimizers.Optimizer:
    """Build the Keras optimizer called ``name``.

    Args:
        name: adadelta, adam, adamw, muon, rmsprop or sgd.
        learning_rate: a number above 0 or a Keras schedule.
        arguments: further arguments by their Keras names. Weight decay spares biases and norms.
        averaging_steps: over about how many last steps an exponential moving average of the
            weights is kept; None for no average.

    Raises:
        UserError: no optimizer has that name, or it does not take one of the arguments.
    """
    if name not in OPTIMIZERS:
        offer = ", ".join(OPTIMIZERS)
        raise UserError(f"optimizer.name is {name!r}, but the optimizers are {offer}")
    given = dict(arguments)
    if name == "muon":
        given = {_OF_MUON.get(key, key): value for key, value in given.items()}
        given["adam_weight_decay"] = given.get("weight_decay")
    if averaging_steps is not None:
        given |= {"use_ema": True, "ema_momentum": 1 - 1 / max(1.0, averaging_steps)}
    try:
        optimizer = OPTIMIZERS[name](learning_rate=learning_rate, **given)
    except (TypeError, ValueError) as error:
        blamed = [key for key in arguments if f"'{key}'" in str(error)] or arguments
        raise UserError(
            f"optimizer={name} does not take {', '.join(blamed)} as given ({error}); "
            f"see conf/optimizer/{name}.yaml"
        ) from None
    if optimizer.weight_decay:  # given, or Keras's own of AdamW
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def build_schedule(
    name: str, learning_rate: float, steps: int, *, warmup_fraction: float, final_fraction: float
) -> Any:
    """The learning rate over ``steps`` steps: a constant number or a Keras schedule.

    Args:
        name: constant, cosine or one_cycle.
        learning_rate: the highest rate, above 0.
        steps: all steps of the training.
        warmup_fraction: share of the steps that rise linearly from zero, 0 up to 1.
        final_fraction: share of the rate that is left at the last step, 0 to 1.

    Raises:
        UserError: no schedule has that name.
    """
    if name == "constant":
        return learning_rate
    warmup = min(round(steps * warmup_fraction), steps - 1)
    if name == "one_cycle":
        return OneCycle(learning_rate, steps, warmup, final_fraction)
    if name != "cosine":
        raise UserError(
            f"schedule.name is {name!r}, but the schedules are constant, cosine and one_cycle"
        )
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else learning_rate,
        decay_steps=max(1, steps - warmup),
        alpha=final_fraction,
        warmup_target=learning_rate if warmup else None,
        warmup_steps=warmup,
    )
