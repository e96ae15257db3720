"""How often the gate lets a network pass that is no better, and how seldom one that is.

    python benchmarks/gate.py

Expected (1,000 pairs a row, 2,000 test pictures each): of equally good networks `better` promotes
1 to 3 %, 2.1 % on the whole; of networks that are five points better 99.8 to 100 %. `not_worse`
promotes equally good networks the more often, the more they agree: 17 to 19 % of those that agree
on 0.80 of the pictures, 86 to 89 % of those that agree on 0.98; of the better ones all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from tables import head, row

from pawprint.config.schema import Gate
from pawprint.evaluation.paired import Paired, compare_paired
from pawprint.registry.gate import apply_gate

ACCURACIES = (0.7, 0.8, 0.9, 0.95)
AGREEMENTS = (0.8, 0.9, 0.95, 0.98)
BETTER_BY = 0.05
SIGNIFICANCE = 0.05  # as in conf/gate/better.yaml
MARGIN = 0.01  # as in conf/gate/not_worse.yaml


def main() -> None:
    """Simulate and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    head("champion's accuracy", "challenger's", "agreement", "better", "not_worse", "p below 0.05")
    for ahead in (0.0, BETTER_BY):
        total = np.zeros(3)
        kinds = list(_kinds(ahead))
        for accuracy, agreement in kinds:
            shares = np.zeros(3)
            for _ in range(given.pairs):
                paired = simulated(rng, given.pictures, accuracy, accuracy + ahead, agreement)
                shares += np.array(outcome(paired)) / given.pairs
            total += shares / len(kinds)
            row(accuracy, f"{accuracy + ahead:g}", agreement, *(f"{x:.1%}" for x in shares))
        row("all", f"{ahead:+g}", "", *(f"{x:.1%}" for x in total))


def _kinds(ahead: float) -> Iterator[tuple[float, float]]:
    """Accuracies of the champion and shares of the pictures that both answer alike, which fit."""
    for accuracy in ACCURACIES:
        for agreement in AGREEMENTS:
            gained, lost = _apart(agreement, ahead)
            # Who is lost was right, who is gained was wrong.
            if lost >= -1e-9 and lost <= accuracy and gained <= 1 - accuracy:
                yield accuracy, agreement


def _apart(agreement: float, ahead: float) -> tuple[float, float]:
    return (1 - agreement + ahead) / 2, (1 - agreement - ahead) / 2


def simulated(
    rng: np.random.Generator, pictures: int, champion: float, challenger: float, agreement: float
) -> Paired:
    """A comparison of two networks of these true accuracies on pictures drawn at random.

    Args:
        rng: where the pictures are drawn from.
        pictures: how many.
        champion: its accuracy on all pictures there are, 0 to 1.
        challenger: the same of the challenger.
        agreement: share of all pictures on which both are right or both are wrong.
    """
    gained, lost = _apart(agreement, challenger - champion)
    # Which of four kinds a picture is: both right, gained, lost, both wrong.
    edges = np.cumsum([champion - lost, gained, lost])
    kind = np.searchsorted(edges, rng.random(pictures), side="right")
    return compare_paired((kind == 0) | (kind == 2), kind <= 1)


def outcome(paired: Paired) -> tuple[bool, bool, bool]:
    """Whether the gate's rules let the challenger pass, and whether the p-value alone is small."""
    return (
        apply_gate(Gate("better", significance=SIGNIFICANCE), paired).passes,
        apply_gate(Gate("not_worse", margin=MARGIN), paired).passes,
        paired.p_value <= SIGNIFICANCE,
    )


if __name__ == "__main__":
    main()
