"""From the words of a command line to trials that are known again in another sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pawprint.config.schema import Config
from pawprint.system.files import digest_of
from pawprint.training.trial import Trial, Watch

SEED = "seed"


@dataclass(frozen=True)
class Order:
    """What a person asked for.

    Attributes:
        fixed: the settings of the command line that all trials share, ``key=value``.
        axes: the swept keys, each with its values as they were given.
        base: the configuration with every axis left at its default.
        resolve: the configuration that comes out of settings; raises UserError.
        folder: where the trials' files go.
        kind: what chooses the trials, and from which space; sweeps that differ in it are others.
        objectives: metrics by which trials are ranked, the first one counts most, each with
            whether more of it is better.
        timed: whether the time of one answer of each network is measured.
    """

    fixed: Sequence[str]
    axes: Mapping[str, str]
    base: Config
    resolve: Callable[[Sequence[str]], Config]
    folder: Path
    objectives: Mapping[str, bool]
    kind: str = "grid"
    timed: bool = False

    def identity(self, data: str) -> str:
        """What the sweep is known by, also when its axes have got more values.

        Args:
            data: digest of the pictures.
        """
        swept = tuple(self.axes)
        given = {key: getattr(self.base, key) for key in ("learning_rate", "depth", "width")}
        base = {
            key: value
            for key, value in (self.base.deciding() | given).items()  # not an optimizer's own
            if not any(key == axis or key.startswith(f"{axis}.") for axis in swept)
        }
        return digest_of({"axes": sorted(swept), "base": base, "data": data, "kind": self.kind})


@dataclass(frozen=True)
class Planner:
    """Makes trials.

    Attributes:
        order: what was asked for.
        data: digest of the pictures to learn from.
        parent: id of the sweep's run.
        store: tracking URI of the store that has it.
    """

    order: Order
    data: str
    parent: str
    store: str

    def trial(
        self,
        words: Sequence[str],
        number: int,
        *,
        config: Config | None = None,
        watch: Watch | None = None,
    ) -> Trial:
        """The trial of these settings.

        Args:
            words: ``key=value`` each.
            number: its place in the sweep.
            config: what comes out of the words, where that is known already.
            watch: asked after each epoch whether to go on.

        Raises:
            UserError: they do not make a configuration.
        """
        config = config or self.order.resolve(words)
        settings = dict(word.split("=", 1) for word in words)
        axes = {key: settings[key] for key in self.order.axes if key in settings}
        return Trial(
            number,
            name_of(axes) or " ".join(words) or "trial",
            axes,
            tuple(words),
            config,
            trial_identity(config, self.data),
            self.order.folder / str(number),
            self.parent,
            self.store,
            watch,
            self.order.timed,
        )


def name_of(axes: Mapping[str, str]) -> str:
    """A trial's name: its settings along the axes."""
    return " ".join(f"{key}={value}" for key, value in axes.items())


def trial_identity(config: Config, data: str) -> str:
    """16 hex digits of the resolved configuration and the data's digest."""
    return digest_of({"config": config.deciding(), "data": data})
