"""Cartoon cats and dogs, drawn from a few smooth shapes.

Shapes are given in head radii: the head's centre is (0, 0), x goes right, y goes down, the ground
is at y = 3. A ``Pencil`` turns, mirrors and scales them onto the picture. What is no sign of cat or
dog (pose, coat, collar) is drawn by the same code for both.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
Points = np.ndarray | Sequence[Point]

FURS: tuple[Colour, ...] = (
    (226, 142, 62),  # ginger
    (52, 48, 52),  # black
    (140, 142, 150),  # grey
    (240, 234, 224),  # white
    (128, 84, 52),  # brown
    (232, 204, 160),  # cream
    (196, 150, 96),  # sand
    (88, 62, 48),  # chocolate
)
EYES: tuple[Colour, ...] = ((226, 178, 52), (132, 186, 84), (116, 172, 214), (150, 96, 48))
COLLARS: tuple[Colour, ...] = ((206, 52, 56), (44, 104, 188), (56, 150, 92), (240, 190, 40))
INK: Colour = (34, 28, 30)
PINK: Colour = (232, 148, 148)

# Right halves of outlines, from top to bottom.
CAT_HEAD = ((0, -0.8), (0.5, -0.74), (0.9, -0.25), (1.02, 0.25), (0.66, 0.7), (0, 0.85))
DOG_HEAD = ((0, -0.86), (0.5, -0.78), (0.82, -0.3), (0.8, 0.2), (0.55, 0.75), (0, 0.95))
DOG_SNOUT = ((0, 0.02), (0.3, 0.15), (0.5, 0.55), (0.34, 0.85), (0, 0.88))
DOG_NOSE = ((0, 0.2), (0.22, 0.22), (0.24, 0.36), (0, 0.5))
SITTING = ((0, 0.4), (0.55, 0.7), (0.78, 1.4), (0.9, 2.2), (0.75, 2.8), (0, 2.95))
CHEST = ((0, 0.9), (0.35, 1.1), (0.32, 1.7), (0, 2.1))
# Whole outlines. Ears are right ears.
STANDING = ((0, 0.3), (1, 0.25), (2.4, 0.4), (3.4, 0.4), (3.65, 1), (3.2, 1.6), (2, 1.55),
            (0.8, 1.75), (0.1, 1.2))  # fmt: skip
FOLDED_EAR = ((0.25, -0.8), (0.75, -0.85), (0.98, -0.4), (0.62, -0.42))
CAT_NOSE = ((-0.12, 0.22), (0.12, 0.22), (0, 0.36))
TONGUE = ((-0.15, 0.75), (0.2, 0.75), (0.2, 1.2), (0.02, 1.3), (-0.14, 1.2))
# Open lines.
CAT_MOUTH = ((-0.2, 0.5), (-0.1, 0.54), (0, 0.44), (0.1, 0.54), (0.2, 0.5))
DOG_MOUTH = ((-0.3, 0.62), (-0.15, 0.72), (0, 0.66), (0.15, 0.72), (0.3, 0.62))

ANGLE = np.arange(28) * (2 * np.pi / 28)
CIRCLE = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)
CATMULL_ROM = np.array([(0, 2, 0, 0), (-1, 0, 1, 0), (2, -5, 4, -1), (-1, 3, -3, 1)]) / 2
SPLINE = (np.arange(6)[:, None] / 6) ** np.arange(4) @ CATMULL_ROM  # weights of 4 neighbours


def shade(colour: Colour, factor: float) -> Colour:
    """Return ``colour`` darkened (``factor`` below 1) or lightened towards white (above 1)."""
    red, green, blue = (
        int(c * factor if factor <= 1 else 255 - (255 - c) * (2 - factor)) for c in colour
    )
    return red, green, blue


def oval(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Return an ellipse as 28 points, shape (28, 2)."""
    return CIRCLE * (rx, ry) + (x, y)


def smooth(points: Points) -> np.ndarray:
    """Return a closed Catmull-Rom curve through ``points``, shape (6 * len(points), 2)."""
    p = np.asarray(points, float)
    p = np.concatenate([p[-1:], p, p[:2]])
    neighbours = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)
    return (SPLINE @ neighbours).reshape(-1, 2)


def symmetric(half: Points) -> np.ndarray:
    """Return a smooth closed outline from its right half, given from top to bottom."""
    right = np.asarray(half, float)
    return smooth(np.concatenate([right, right[::-1] * (-1, 1)]))


def tube(points: Points, start: float, end: float) -> np.ndarray:
    """Return the outline of a stroke through ``points`` whose half width goes start to end."""
    line = np.asarray(points, float)
    along = np.diff(line, axis=0)
    along = np.concatenate([along[:1], along[1:] + along[:-1], along[-1:]])
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True)) + 1e-6
    across = along[:, ::-1] * (-1, 1) * np.linspace(start, end, len(line))[:, None]
    tip = line[-1:] + along[-1:] * end
    return smooth(np.concatenate([line + across, tip, (line - across)[::-1]]))


class Pencil:
    """Draws shapes in head radii onto a picture in pixels.

    Args:
        image: the RGB picture to draw on.
        matrix: turns head radii into pixels, shape (2, 2): scale, tilt, mirroring.
        centre: where the head's centre is, in pixels.
        rng: chooses the coat.
    """

    def __init__(
        self, image: Image.Image, matrix: np.ndarray, centre: np.ndarray, rng: Generator
    ) -> None:
        self.image, self.matrix, self.centre = image, matrix, centre
        self.draw = ImageDraw.Draw(image)
        self.radius = float(np.sqrt(abs(np.linalg.det(matrix))))
        self.base, self.mark = (FURS[i] for i in rng.choice(len(FURS), 2, replace=False))
        self.outline = shade(self.base, 0.5)
        self.coat = Image.new("RGB", image.size, self.base)
        for shape in _markings(rng):
            ImageDraw.Draw(self.coat).polygon(self.pixels(shape), fill=self.mark)

    def pixels(self, points: Points, at: Point = (0, 0)) -> list[float]:
        """Return ``points``, moved by ``at``, in pixels as Pillow takes them: x, y, x, y."""
        moved = np.asarray(points, float) + at
        return (moved @ self.matrix.T + self.centre).ravel().tolist()

    def fill(self, points: Points, colour: Colour, at: Point = (0, 0)) -> None:
        """Fill a shape, moved by ``at``, with one colour."""
        self.draw.polygon(self.pixels(points, at), fill=colour)

    def line(self, points: Points, colour: Colour, width: float, at: Point = (0, 0)) -> None:
        """Draw an open line, moved by ``at``; ``width`` is in head radii."""
        thick = max(1, round(width * self.radius))
        self.draw.line(self.pixels(points, at), fill=colour, width=thick, joint="curve")

    def fur(self, points: Points) -> None:
        """Fill a shape with the coat and draw its outline."""
        corners = self.pixels(points)
        mask = Image.new("1", self.image.size)
        ImageDraw.Draw(mask).polygon(corners, fill=1)
        box = mask.getbbox()
        if box:
            self.image.paste(self.coat.crop(box), box, mask.crop(box))
        width = max(1, round(0.05 * self.radius))
        self.draw.line(corners + corners[:4], fill=self.outline, width=width)


def _markings(rng: Generator) -> list[np.ndarray]:
    pattern = rng.choice(["plain", "tabby", "patches", "spots"], p=[0.3, 0.3, 0.22, 0.18])
    if pattern == "tabby":
        rows = np.arange(-1.1, 3.2, rng.uniform(0.32, 0.45))
        sides = [_stripe(s * 1.5, y, s * 0.45, y + 0.1) for y in rows for s in (-1, 1)]
        brow = [_stripe(x, -1, x * 0.6, -0.45) for x in (-0.3, 0, 0.3)]
        flank = [_stripe(x, 0.2, x + 0.1, 1.3) for x in np.arange(1.6, 4, 0.4)]
        return sides + brow + flank
    if pattern == "patches":
        return [smooth(oval(*rng.uniform((-1.2, -1.2), (3.2, 3)), *rng.uniform(0.4, 0.8, 2))[::4]
                       + rng.normal(0, 0.08, (7, 2))) for _ in range(9)]  # fmt: skip
    if pattern == "spots":
        return [oval(*rng.uniform((-1.3, -1.2), (3.6, 3)), *rng.uniform(0.07, 0.17, 2))
                for _ in range(45)]  # fmt: skip
    return []


def _stripe(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    along = np.array([x1 - x0, y1 - y0])
    across = along[::-1] * (-1, 1) * (0.1 / (abs(along).sum() + 0.1))
    start, middle, end = (np.array([x0, y0]) + along * part for part in (0, 0.5, 1))
    bulge = across * 0.9
    return np.array([start - across, middle - bulge, end, middle + bulge, start + across])


def draw_animal(pencil: Pencil, is_cat: bool, standing: bool, rng: Generator) -> None:
    """Draw a whole cat or dog, ``standing`` with its side to us or sitting in front of us."""
    turn = rng.uniform(-1, 1) * (0.3 if rng.random() < 0.5 else 1)
    _tail(pencil, is_cat, (3.4, 0.7) if standing else (0.8, 2.6), rng)
    if standing:
        _standing_body(pencil, is_cat)
    else:
        _sitting_body(pencil, is_cat)
    if rng.random() < 0.35:
        collar = COLLARS[rng.integers(len(COLLARS))]
        pencil.fill(oval(0.1 * standing, 0.85, 0.62, 0.25), collar)
        pencil.fill(oval(0, 1.12, 0.12, 0.12), (240, 206, 90))
    face = _cat_head if is_cat else _dog_head
    face(pencil, turn, rng)


def _tail(pencil: Pencil, is_cat: bool, root: tuple[float, float], rng: Generator) -> None:
    x, y = root
    bend = rng.uniform(-0.3, 0.5)
    if is_cat:
        path = [(x, y), (x + 0.6, y + 0.1), (x + 0.9, y - 0.5), (x + 0.7 + bend, y - 1.2),
                (x + 0.9 + 1.5 * bend, y - 1.8)]  # fmt: skip
        pencil.fur(tube(path, 0.15, 0.11))
    else:
        path = [(x, y), (x + 0.4, y - 0.3), (x + 0.7, y - 0.8), (x + 0.6 + bend, y - 1.25)]
        pencil.fur(tube(path, 0.28, 0.09))


def _sitting_body(pencil: Pencil, is_cat: bool) -> None:
    wide = 0.9 if is_cat else 1.0
    for side in (-1, 1):
        pencil.fur(oval(side * 0.8 * wide, 2.5, 0.5, 0.5))
    pencil.fur(symmetric(SITTING) * (wide, 1))
    light = shade(pencil.base, 1.35)
    pencil.fill(symmetric(CHEST), light)
    for side in (-1, 1):
        pencil.fur(tube([(side * 0.36, 1.7), (side * 0.36, 2.3), (side * 0.38, 2.85)], 0.22, 0.2))
        pencil.fill(oval(side * 0.42, 2.92, 0.28, 0.16), light)


def _standing_body(pencil: Pencil, is_cat: bool) -> None:
    thick = 0.17 if is_cat else 0.22
    for x in (0.95, 2.75):
        pencil.fur(tube([(x, 1.2), (x, 2.1), (x - 0.05, 2.8)], thick * 1.3, thick))
    pencil.fur(smooth(STANDING))
    for x in (0.5, 3.2):
        pencil.fur(tube([(x, 1.1), (x, 2.1), (x - 0.05, 2.85)], thick * 1.4, thick))


def _eyes(pencil: Pencil, is_cat: bool, x: float, y: float, rng: Generator) -> None:
    chance = [0.4, 0.35, 0.2, 0.05] if is_cat else [0.1, 0.05, 0.15, 0.7]
    iris = EYES[rng.choice(len(EYES), p=chance)]
    centres = [(x + side * (0.42 if is_cat else 0.36), y) for side in (-1, 1)]
    if rng.random() < 0.12:  # asleep
        for centre in centres:
            pencil.line(CIRCLE[:15] * (0.17, 0.1), INK, 0.06, centre)
        return
    size = rng.uniform(0.17, 0.22)
    pupil = 0.6 if rng.random() < 0.25 else 0.25  # of a cat: wide in the dark, else a slit
    for side, centre in zip((-1, 1), centres, strict=True):
        if is_cat:
            lid = [(-side * size * 1.2, 0.08), (0, -size), (side * size * 1.2, -0.08), (0, size)]
            pencil.fill(smooth(lid), INK, centre)
            pencil.fill(smooth(lid) * 0.85, iris, centre)
            pencil.fill(CIRCLE * size * (pupil, 0.85), INK, centre)
        else:
            pencil.fill(CIRCLE * size * (0.95, 1), INK, centre)
            pencil.fill(CIRCLE * size * (0.8, 0.85), iris, centre)
            pencil.fill(CIRCLE * size * (0.5, 0.55), INK, centre)
        pencil.fill(oval(-0.06, -0.08, 0.05, 0.05), (255, 255, 255), centre)


def _pointed_ears(pencil: Pencil, x: float, tip: Sequence[float]) -> None:
    for side in (-1, 1):
        ear = np.array([(0.2, -0.72), tip, (0.95, -0.25)]) * (side, 1) + (x, 0)
        middle = ear.mean(axis=0)
        pencil.fur(ear)
        pencil.fill((ear - middle) * 0.6 + middle + (0, 0.04), PINK)


def _flat_ears(pencil: Pencil, x: float, right: Points) -> None:
    for side in (-1, 1):
        pencil.fur(smooth(np.array(right) * (side, 1) + (x, 0)))


def _cat_head(pencil: Pencil, turn: float, rng: Generator) -> None:
    folded = rng.random() < 0.08
    tip = rng.uniform(-1.45, -1.2)
    # What is nearer to us moves further when the head turns; the ears move the other way.
    ears, x = -0.12 * turn, 0.3 * turn
    if not folded:
        _pointed_ears(pencil, ears, (0.85, tip))
    pencil.fur(symmetric(CAT_HEAD))
    if folded:
        _flat_ears(pencil, ears, FOLDED_EAR)
    _eyes(pencil, True, 0.8 * x, -0.1, rng)
    for side in (-1, 1):
        pencil.fill(oval(side * 0.17, 0.42, 0.22, 0.17), shade(pencil.base, 1.45), (x, 0))
    pencil.fill(CAT_NOSE, PINK, (x, 0))
    pencil.line(CAT_MOUTH, INK, 0.04, (x, 0))
    whisker = (250, 250, 250) if sum(pencil.base) < 480 else (90, 80, 80)
    for side in (-1, 1):
        for rise in (-0.12, 0.05, 0.22):
            ends = [(side * 0.3, 0.42 + rise / 3), (side * 1.15, 0.35 + rise)]
            pencil.line(ends, whisker, 0.03, (x, 0))


def _dog_head(pencil: Pencil, turn: float, rng: Generator) -> None:
    kind = rng.choice(["hanging", "half", "prick"], p=[0.78, 0.14, 0.08])
    ears, x, nose = -0.12 * turn, 0.4 * turn, 0.46 * turn
    if kind == "prick":
        _pointed_ears(pencil, ears, (0.7, rng.uniform(-1.5, -1.3)))
    pencil.fur(symmetric(DOG_HEAD))
    if kind != "prick":
        end = rng.uniform(0.3, 1.25) if kind == "hanging" else -0.25
        ear = [(0.4, -0.85), (0.8, -0.75), (1.15, end - 0.5), (1.05, end), (0.78, end - 0.1)]
        _flat_ears(pencil, ears, [*ear, (0.62, -0.3)])
    _eyes(pencil, False, 0.6 * x, -0.18, rng)
    if rng.random() < 0.5:
        pencil.fill(smooth(TONGUE), PINK, (x, 0))
    pencil.fill(symmetric(DOG_SNOUT), shade(pencil.base, 1.35), (x, 0))
    pencil.fill(symmetric(DOG_NOSE), INK, (nose, 0))
    pencil.fill(oval(-0.06, 0.27, 0.06, 0.03), (190, 190, 190), (nose, 0))
    pencil.line([(nose, 0.45), (x, 0.66)], INK, 0.04)
    pencil.line(DOG_MOUTH, INK, 0.05, (x, 0))
