"""Random variation of training pictures, one warp for all movements; a contact sheet of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from pawprint.config.schema import Config
from pawprint.data.image_array import Pictures

_GREY = 127
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_ROWS, _COLUMNS = 6, 8  # of a contact sheet; the first column is the picture as it is
_GAP = 4
_LEAST = 96  # pixels a tile's side has at least


@dataclass(frozen=True)
class Augmentation:
    """How a batch of pictures is varied: ranges that are drawn from uniformly, scale by its log.

    Flip, zoom, shear, rotation and shift are one affine map, so that a picture is interpolated
    once, together with the change to another size. What comes in from outside repeats the border,
    as in the Keras `ImageDataGenerator` that the article used.

    Args:
        horizontal_flip: mirror every other picture.
        zoom: width and height, each by itself, times a factor from 1 - zoom to 1 + zoom.
        shear: angle in radians, from -shear to shear.
        rotation: angle in degrees, from -rotation to rotation.
        shift: share of the side, from -shift to shift, in each direction.
        scale_from: smallest share of the side that a picture shows: below 1, a part of it, nearer.
        scale_to: largest share of the side: above 1, the picture from farther away.
        colour: brightness, contrast and saturation, each by up to this share, 0 to 1.
        cutout: side of a grey square, as a share of the picture's (DeVries and Taylor 2017).
        mixup: alpha of the Beta distribution of the share of a second picture that shines through
            (Zhang et al. 2017); 0 for none.
        cutmix: alpha of the Beta distribution of the share of a second picture that is pasted in
            (Yun et al. 2019); 0 for none. With mixup too, a batch gets one of the two.
    """

    horizontal_flip: bool = False
    zoom: float = 0.0
    shear: float = 0.0
    rotation: float = 0.0
    shift: float = 0.0
    scale_from: float = 1.0
    scale_to: float = 1.0
    colour: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(
        self,
        pictures: np.ndarray,
        targets: np.ndarray,
        rng: np.random.Generator,
        size: int,
        variations: Variations | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vary a batch.

        Args:
            pictures: uint8 (n, side, side, 3).
            targets: float32, (n,) or (n, columns), which are mixed as the pictures are.
            rng: where every draw comes from.
            size: side of the pictures that come out.
            variations: of these pictures, where they were drawn before. Defaults to None: they
                are drawn now.

        Returns:
            Pictures uint8 (n, size, size, 3), and their targets, of two classes where mixed.
        """
        variations = variations or self.draw(len(pictures), rng, size)
        pictures = self.apply(pictures, variations, size)
        if not (self.mixup or self.cutmix):
            return pictures, targets
        paste = self.cutmix and (not self.mixup or rng.random() < 0.5)
        alpha = self.cutmix if paste else self.mixup
        share, partners = float(rng.beta(alpha, alpha)), rng.permutation(len(pictures))
        if paste:
            share = _paste(pictures, pictures[partners], share, rng)
        else:
            flat = (len(pictures) * size, -1)  # one call for the whole batch
            others = pictures[partners].reshape(flat)
            mixed = cv2.addWeighted(pictures.reshape(flat), 1 - share, others, share, 0)
            pictures = mixed.reshape(pictures.shape)
        return pictures, (targets + np.float32(share) * (targets[partners] - targets))

    def draw(self, count: int, rng: np.random.Generator, size: int) -> Variations:
        """Draw how each of ``count`` pictures is varied, all but mixing.

        The hole's corners are drawn among the pixels of a picture with that ``size`` as its side.
        """
        still = replace(self, colour=0, cutout=0, mixup=0, cutmix=0) == Augmentation()
        moves = None if still else rng.uniform(-1, 1, (8, count))
        if moves is not None and not self.horizontal_flip:
            moves[0] = 1
        colours = rng.uniform(-1, 1, (3, count)) if self.colour else None
        corners = None
        if self.cutout:
            hole = round(self.cutout * size)
            # Half of it may lie outside, so that the rim is hidden as often as the middle.
            corners = rng.integers(-(hole // 2), size - hole // 2, (count, 2)).T / size
        return Variations(moves, colours, corners)

    def apply(self, pictures: np.ndarray, variations: Variations, size: int) -> np.ndarray:
        """Vary each picture, all but mixing, as it was drawn; the same at any size.

        Args:
            pictures: uint8 (n, side, side, 3).
            variations: of these n pictures, by ``draw`` of the same augmentation.
            size: side of the pictures that come out.

        Returns:
            uint8 (n, size, size, 3), never the array that was given.
        """
        pictures = self._moved(pictures, variations.moves, size)
        if variations.colours is not None:
            self._recolour(pictures, variations.colours)
        if variations.corners is not None:
            self._cut_out(pictures, variations.corners)
        if variations.turned is not None:
            pictures[variations.turned] = pictures[variations.turned, :, ::-1]
        return pictures

    def _moved(self, pictures: np.ndarray, moves: np.ndarray | None, size: int) -> np.ndarray:
        n, side = pictures.shape[:2]
        if moves is None:
            return resized(pictures, size) if size != side else pictures.copy()
        moved = np.empty((n, size, size, 3), np.uint8)
        maps = self._maps(moves, side, size)
        for picture, map_, out in zip(pictures, maps, moved, strict=True):
            cv2.warpAffine(
                picture,
                map_,
                (size, size),
                dst=out,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return moved

    def _maps(self, moves: np.ndarray, side: int, size: int) -> np.ndarray:
        """Affine maps float32 (n, 2, 3) from places in the new pictures to places in the old."""
        mirror = np.where((moves[0] < 0) & self.horizontal_flip, -1.0, 1.0)
        near, far = math.log(self.scale_from), math.log(self.scale_to)
        scale = np.exp(near + (far - near) * (moves[6] + 1) / 2) * side / size
        zoom_x, zoom_y = scale * (1 + self.zoom * moves[1]), scale * (1 + self.zoom * moves[2])
        angle, slant = math.radians(self.rotation) * moves[3], self.shear * moves[4]
        a, b = mirror * zoom_x * np.cos(angle), -mirror * zoom_y * np.sin(angle + slant)
        c, d = zoom_x * np.sin(angle), zoom_y * np.cos(angle + slant)
        old, new = (side - 1) / 2, (size - 1) / 2
        right, down = old + self.shift * side * moves[5], old + self.shift * side * moves[7]
        maps = [a, b, right - (a + b) * new, c, d, down - (c + d) * new]
        return np.stack(maps, axis=1).reshape(-1, 2, 3).astype(np.float32)

    def _recolour(self, pictures: np.ndarray, colours: np.ndarray) -> None:
        """Brightness, contrast and saturation as one matrix per picture, in place."""
        brightness, contrast, saturation = self.colour * colours
        contrast, saturation = 1 + contrast[:, None, None], 1 + saturation[:, None, None]
        matrices = np.empty((len(pictures), 3, 4), np.float32)
        matrices[:, :, :3] = contrast * (saturation * np.eye(3) + (1 - saturation) * _LUMINANCE)
        matrices[:, :, 3] = _GREY * (1 - contrast[:, 0] + brightness[:, None])
        for picture, matrix in zip(pictures, matrices, strict=True):
            cv2.transform(picture, matrix, dst=picture)

    def _cut_out(self, pictures: np.ndarray, corners: np.ndarray) -> None:
        size = pictures.shape[1]
        hole = round(self.cutout * size)
        places = np.rint(corners.T * size).astype(int)
        for picture, (x, y) in zip(pictures, places, strict=True):
            picture[max(0, y) : y + hole, max(0, x) : x + hole] = _GREY


@dataclass(frozen=True)
class Variations:
    """How each of n pictures is varied: what was drawn for it, without a size.

    Attributes:
        moves: float64 (8, n), -1 to 1, of flip (below 0), width, height, rotation, shear, shift to
            the right, scale and shift downwards; None where nothing moves.
        colours: float64 (3, n), -1 to 1, of brightness, contrast and saturation, or None.
        corners: float64 (2, n), right and down, where the hole begins as a share of the side, or
            None.
        turned: bool (n,), which are turned into their mirror images after all else, or None.
    """

    moves: np.ndarray | None
    colours: np.ndarray | None
    corners: np.ndarray | None
    turned: np.ndarray | None = None

    def of(self, rows: np.ndarray | slice) -> Variations:
        """Those of some of the pictures."""
        parts = (self.moves, self.colours, self.corners, self.turned)
        return Variations(*(None if part is None else part[..., rows] for part in parts))


def augmentation_of(config: Config) -> Augmentation:
    """The variation that ``augment`` names, as far as the network sees it."""
    if config.frozen:  # features are of pictures and of their mirror images, nothing else
        return Augmentation(horizontal_flip=config.augment.horizontal_flip)
    return Augmentation(**{k: v for k, v in vars(config.augment).items() if k != "name"})


def resized(pictures: np.ndarray, size: int) -> np.ndarray:
    """Pictures uint8 (n, side, side, 3) at another size, averaging where it is smaller."""
    side = pictures.shape[1]
    if side == size:
        return pictures
    way = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(picture, (size, size), interpolation=way) for picture in pictures])


def _paste(
    pictures: np.ndarray, others: np.ndarray, share: float, rng: np.random.Generator
) -> float:
    """Paste one rectangle of each of ``others``, in place; returns the share it really takes."""
    size = pictures.shape[1]
    half = math.sqrt(share) * size / 2
    x, y = rng.uniform(0, size, 2)
    left, right = max(0, round(x - half)), min(size, round(x + half))
    top, bottom = max(0, round(y - half)), min(size, round(y + half))
    pictures[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return (right - left) * (bottom - top) / size**2


def mirrored_features(
    features: np.ndarray, targets: np.ndarray, rng: np.random.Generator, _size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of features (n, 2, d), of pictures and their mirror images, one at random: (n, d)."""
    return features[np.arange(len(features)), rng.integers(0, 2, len(features))], targets


def plain_features(
    features: np.ndarray, targets: np.ndarray, _rng: np.random.Generator, _size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of features (n, 2, d), of pictures and their mirror images, those of the pictures: (n, d)."""
    return features[:, 0], targets


def draw_preview(pictures: Pictures | np.ndarray, vary: Augmentation, seed: int) -> Image.Image:
    """Draw some pictures and variations of them side by side.

    Pictures are mixed with each other as they are within a batch of training.

    Args:
        pictures: uint8 (n, size, size, 3), at least one.
        vary: the augmentation.
        seed: of the choice of pictures and of their variations.

    Returns:
        RGB; a row per picture, the picture itself at its left.
    """
    rng = np.random.default_rng([seed, 0xD4A3])
    # One of each part: pictures lie class by class.
    parts = np.array_split(np.arange(len(pictures)), min(_ROWS, len(pictures)))
    originals = pictures[np.array([rng.choice(part) for part in parts])]
    side = originals.shape[1]
    targets = np.zeros((len(originals), 1), np.float32)
    columns = [originals]
    columns += [vary(originals.copy(), targets, rng, side)[0] for _ in range(_COLUMNS - 1)]
    shown = max(side, _LEAST)
    step = shown + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step + 2 * _GAP, len(originals) * step + _GAP), "white")
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            tile = Image.fromarray(picture).resize((shown, shown), Image.Resampling.BICUBIC)
            # A wider gap behind the pictures as they are.
            sheet.paste(tile, (_GAP + x * step + (_GAP if x else 0), _GAP + y * step))
    return sheet
