"""Optimizers and learning-rate schedules by their names; those that Keras has not, or slower."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from pawprint.system.errors import UserError


class FusedAdamW(keras.optimizers.AdamW):
    """AdamW whose step is TensorFlow's one kernel instead of a pass over memory per operation.

    The same arithmetic up to rounding; small networks on a CPU spend up to a third of a training
    step in the optimizer otherwise. Arguments as for `keras.optimizers.AdamW`, without `amsgrad`.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its two moments."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


class FusedAdadelta(keras.optimizers.Adadelta):
    """Adadelta (Zeiler 2012) in TensorFlow's one kernel; arguments as for Keras's own."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its two accumulators."""
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=self._accumulated_grads[index].value.handle,
            accum_update=self._accumulated_delta_vars[index].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            rho=self.rho,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) for convolutions too, whose kernels it takes as matrices.

    Keras's own leaves everything but plain matrices to AdamW. Here a kernel of height × width ×
    inputs × outputs is orthogonalised as a matrix of (height · width · inputs) × outputs; the last
    layer, biases, norms and depthwise kernels stay with AdamW. Arguments as for
    `keras.optimizers.Muon`.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        spared = ("probabilities", "embedding")
        depthwise = len(variable.shape) == 4 and variable.shape[-1] == 1
        return len(variable.shape) < 2 or depthwise or any(w in variable.path for w in spared)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        shape = variable.shape
        self.assign(m, self.momentum * m + gradient)
        update = gradient + self.momentum * m if self.nesterov else m
        matrix = keras.ops.reshape(update, (-1, shape[-1]))
        matrix = self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
        step = keras.ops.reshape(self.lr_adjust(lr * matrix), shape)
        self.assign_sub(variable, step)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Keras's iteration, done on the Gram matrix: kernels are tall, that is small.

        Of x (m, n) only the first product and the last one are with m rows.
        """
        wide = x.shape[0] < x.shape[1]
        if wide:
            x = tf.transpose(x)
        x /= tf.norm(x) + 1e-7
        gram = tf.matmul(x, x, transpose_a=True)
        all_factors = None
        for step in range(steps):
            factor = self.muon_b * gram + self.muon_c * tf.matmul(gram, gram)
            factor = tf.linalg.set_diag(factor, tf.linalg.diag_part(factor) + self.muon_a)
            all_factors = factor if step == 0 else tf.matmul(all_factors, factor)
            if step < steps - 1:  # they commute, being polynomials of one matrix
                gram = tf.matmul(tf.matmul(factor, gram), factor)
        x = tf.matmul(x, all_factors)
        return tf.transpose(x) if wide else x


def with_rate_factors(
    optimizer: keras.optimizers.Optimizer, factors: Sequence[float]
) -> keras.optimizers.Optimizer:
    """The optimizer, whose steps are of another learning rate for each variable.

    Weight decay is of the one learning rate: most kernels are normalised behind, where it changes
    nothing but their size.

    Args:
        optimizer: not built yet.
        factors: of the learning rate, a number per variable that it will be built with.
    """
    kind = type(optimizer)

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        factor = factors[self._get_variable_index(variable)]
        kind.update_step(self, gradient, variable, learning_rate * factor)

    # Another class, because Keras asks for an attribute of the class while it traces.
    optimizer.__class__ = type(kind.__name__, (kind,), {"update_step": update_step})
    return optimizer


@dataclass(eq=False)
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from zero up to the rate, then linear down (Smith and Topin 2017).

    Args:
        learning_rate: the highest rate.
        steps: all steps of the training.
        warmup_steps: steps of the way up, fewer than ``steps``.
        final_fraction: share of the rate that is left at the last step.
    """

    learning_rate: float
    steps: int
    warmup_steps: int
    final_fraction: float

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        up = step / max(1, self.warmup_steps)
        gone = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        down = 1 - (1 - self.final_fraction) * keras.ops.minimum(1.0, gone)
        return self.learning_rate * keras.ops.where(step < self.warmup_steps, up, down)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return asdict(self)


OPTIMIZERS: Mapping[str, type[keras.optimizers.Optimizer]] = MappingProxyType(
    {
        "adadelta": FusedAdadelta,
        "adam": keras.optimizers.Adam,
        "adamw": FusedAdamW,
        "muon": ConvolutionMuon,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
)


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
    given: dict[str, float | bool | None] = dict(arguments)
    if name == "muon":
        # Its AdamW, for what no matrix is, has settings of its own.
        own = {"beta_1": "adam_beta_1", "beta_2": "adam_beta_2"}
        given = {own.get(key, key): value for key, value in given.items()}
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
