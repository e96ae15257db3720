"""Whether classes are each other's mirror images, so that mirroring would teach them wrongly."""

import cv2
import numpy as np

from pawprint.config.schema import Config
from pawprint.data.image_array import Pictures

_MOST = 1000  # pictures that are looked at
_FEWEST = 12  # of a class, half of them to learn from
_SIDE, _CELLS, _ANGLES = 32, 4, 8  # pixels of a side; cells of a side; angles of edges
_RIDGE = 0.1
_CERTAIN, _CERTAIN_EACH = 5.0, 3.0  # standard deviations above chance, of both and of each class


def warning_of_mirroring(
    config: Config, pictures: Pictures, labels: np.ndarray, class_names: list[str]
) -> str | None:
    """Say in a sentence that training or answers mirror what must not be mirrored, where so.

    Args:
        config: says whether pictures are mirrored, in training and in answers.
        pictures: of training, uint8 (n, side, side, 3).
        labels: int (n,).
        class_names: by label.
    """
    used = {
        "augment.horizontal_flip": config.augment.horizontal_flip,
        "mirror": config.mirror,
    }
    keys = [key for key, is_on in used.items() if is_on]
    pairs = find_mirrored(pictures, labels) if keys else []
    if not pairs:
        return None
    named = " and ".join(f"{class_names[a]} with {class_names[b]}" for a, b in pairs[:3])
    more = f" and {len(pairs) - 3} more pairs" if len(pairs) > 3 else ""
    off = " ".join(f"{key}=false" for key in keys)
    return (
        f"mirrored pictures of some classes look like those of others ({named}{more}), and "
        f"pictures are mirrored here; train with {off}"
    )


def find_mirrored(pictures: Pictures, labels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of classes of which the pictures of one, mirrored, look like those of the other.

    Two classes are such a pair if a linear classifier of edges tells them apart by that in which
    pictures differ from their mirror images, and less well by that in which they do not.

    Args:
        pictures: uint8 (n, side, side, 3); up to 1,000 of them are looked at.
        labels: int (n,).
    """
    some = np.linspace(0, len(labels) - 1, min(_MOST, len(labels))).round().astype(int)
    labels = labels[some]
    classes, counts = np.unique(labels, return_counts=True)
    classes = classes[counts >= _FEWEST]
    if len(classes) < 2:
        return []
    small = [_grey(picture) for picture in pictures[some]]
    plain = np.array([_edges(grey) for grey in small])
    mirrored = np.array([_edges(grey[:, ::-1]) for grey in small])
    sided, alike = plain - mirrored, plain + mirrored
    alike -= alike.mean(axis=0)
    places = [np.flatnonzero(labels == one) for one in classes]
    means = np.array([plain[own].mean(axis=0) for own in places])
    turned = np.array([mirrored[own].mean(axis=0) for own in places])
    nearest = ((turned[:, np.newaxis] - means) ** 2).sum(axis=2).argmin(axis=1)
    return [
        (int(classes[a]), int(classes[b]))
        for a, b in enumerate(nearest)
        if a < b and nearest[b] == a and _exchanged(sided, alike, places[a], places[b])
    ]


def _exchanged(sided: np.ndarray, alike: np.ndarray, first: np.ndarray, other: np.ndarray) -> bool:
    """Whether two classes, given by their places, differ in their sides, and in nothing more."""
    places = np.concatenate([first, other])
    signs = np.repeat([1.0, -1.0], [len(first), len(other)])
    by_sides = _right_ones(sided[places], signs)
    counts = np.array([len(first), len(other)])
    right = np.array([by_sides[signs > 0].sum(), by_sides[signs < 0].sum()])
    beyond_chance = 2 * right - counts
    return bool(
        (beyond_chance > _CERTAIN_EACH * np.sqrt(counts)).all()
        and beyond_chance.sum() > _CERTAIN * np.sqrt(counts.sum())
        and by_sides.sum() > _right_ones(alike[places], signs).sum()
    )


def _right_ones(features: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Which a linear classifier gets right that learned from the other half of their class."""
    right = np.zeros(len(signs), bool)
    place = np.where(signs > 0, np.cumsum(signs > 0), np.cumsum(signs < 0))
    # One after the other: pictures side by side may be alike, as those of a film are.
    first_half = place <= np.where(signs > 0, (signs > 0).sum(), (signs < 0).sum()) / 2
    for held_out in (first_half, ~first_half):
        known = features[~held_out]
        ridge = _RIDGE * np.eye(len(known))
        weights = known.T @ np.linalg.solve(known @ known.T + ridge, signs[~held_out])
        right[held_out] = features[held_out] @ weights * signs[held_out] > 0
    return right


def _grey(picture: np.ndarray) -> np.ndarray:
    tiny = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _edges(grey: np.ndarray) -> np.ndarray:
    """How strong edges of each angle are in each cell, around the middle of all edges.

    Neither colour nor place nor whether the thing is lighter than what is behind it matters.
    """
    across, down = cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)
    strength = np.hypot(across, down)
    whole = strength.sum() + 1e-6
    ramp = np.arange(_SIDE)
    x, y = strength.sum(axis=0) @ ramp / whole, strength.sum(axis=1) @ ramp / whole
    columns = np.clip((ramp - x + _SIDE / 2) * _CELLS / _SIDE, 0, _CELLS - 1).astype(int)
    rows = np.clip((ramp - y + _SIDE / 2) * _CELLS / _SIDE, 0, _CELLS - 1).astype(int)
    angles = (np.arctan2(down, across) % np.pi * (_ANGLES / np.pi)).astype(int) % _ANGLES
    cells = (rows[:, np.newaxis] * _CELLS + columns) * _ANGLES + angles
    edges = np.bincount(cells.ravel(), strength.ravel(), _CELLS * _CELLS * _ANGLES)
    return np.sqrt(edges / whole)
