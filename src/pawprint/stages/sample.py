"""Draw the sample: cats and dogs, so that everything runs with no download.

A picture is background, animal, something in front of it, then light, blur and noise of a camera.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.drawing import Colour, Pencil, draw_animal, shade, tube
from pawprint.system.files import replacing_folder

log = logging.getLogger(__name__)

SIZE = 96  # pixels, of a finished picture
UNSEEN = 12  # pictures
CANVAS = 2 * SIZE  # pixels, while drawing: halving smooths the edges

BACKDROPS: tuple[Colour, ...] = (
    (168, 206, 232),  # pale blue
    (238, 214, 178),  # sand
    (196, 222, 184),  # pale green
    (226, 190, 196),  # rose
    (204, 196, 226),  # lilac
    (120, 136, 160),  # slate
    (240, 232, 210),  # ivory
    (150, 116, 92),  # wood
    (96, 130, 112),  # fir
    (70, 74, 96),  # night
)


def draw_sample(out: Path, single_prediction: Path, *, seed: int, pictures: int = 1200) -> None:
    """Draw a folder of cats and dogs, and a few further pictures to predict.

    Pictures are RGB JPEGs of 96x96 pixels. The same seed gives the same files byte for byte.
    Both folders are replaced as a whole, once all is drawn.

    Args:
        out: gets ``cats/cats_0001.jpg``, ``dogs/dogs_0001.jpg`` and so on, half each.
        single_prediction: a folder apart; gets ``cat_1.jpg``, ``dog_1.jpg`` and so on, twelve, none
            of which is in ``out``.
        seed: from 0 up.
        pictures: how many to draw in ``out``. Defaults to 1,200.
    """
    with replacing_folder(out) as sample, replacing_folder(single_prediction) as single:
        for name in ("cats", "dogs"):
            (sample / name).mkdir()
        for index in range(pictures + UNSEEN):
            kind = "dog" if index % 2 else "cat"
            if index < pictures:
                path = sample / f"{kind}s" / f"{kind}s_{index // 2 + 1:04d}.jpg"
            else:
                path = single / f"{kind}_{(index - pictures) // 2 + 1}.jpg"
            picture, quality = draw_picture(seed, index)
            picture.save(path, quality=quality)


def draw_picture(seed: int, index: int) -> tuple[Image.Image, int]:
    """Return one picture, RGB of 96x96 pixels, and the JPEG quality (45 to 92) to save it with.

    Seed and index, both from 0 up, determine all of it. An even index is a cat, an odd one a dog.
    """
    rng = np.random.default_rng([seed, index])
    image = _background(rng)
    standing = rng.random() < 0.07
    _place(image, index % 2 == 0, standing, rng)
    if rng.random() < 0.22:
        _foreground(image, rng)
    return _photograph(image, rng), int(rng.integers(45, 93))


def _place(image: Image.Image, is_cat: bool, standing: bool, rng: Generator) -> None:
    portrait = not standing and rng.random() < 0.7
    if portrait:
        height, middle = 2.9, (0.0, 0.0)
    else:
        height, middle = (5.2, (1.3, 0.9)) if standing else (4.6, (0.15, 0.8))
    # The picture is about height head radii high, and its centre falls on middle.
    radius = CANVAS / height * rng.uniform(0.85, 1.05)
    angle = rng.normal(0, 0.12 if portrait else 0.07)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    matrix = radius * turn * (rng.choice([-1, 1]), 1)
    centre = CANVAS / 2 - matrix @ middle + rng.normal(0, 0.03 * CANVAS, 2)
    draw_animal(Pencil(image, matrix, centre, rng), is_cat, standing, rng)


def _background(rng: Generator) -> Image.Image:
    first, second = (BACKDROPS[i] for i in rng.choice(len(BACKDROPS), 2, replace=False))
    kinds = ["gradient", "meadow", "room", "texture", "stripes"]
    kind = rng.choice(kinds, p=[0.3, 0.22, 0.22, 0.16, 0.1])
    if kind == "meadow":
        return _meadow(rng)
    if kind == "room":
        return _room(first, second, rng)
    if kind == "texture":
        small = rng.normal(0, rng.uniform(6, 25), (rng.integers(6, 40),) * 2)[..., None] + first
        small = small.clip(0, 255).astype(np.uint8)
        return Image.fromarray(small).resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    if kind == "gradient":
        corners = np.array([[first, first], [second, second]], np.uint8)
        if rng.random() < 0.5:
            corners = corners.transpose(1, 0, 2)
        return Image.fromarray(corners).resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    stripe = tuple((3 * a + b) // 4 for a, b in zip(first, second, strict=True))
    image = Image.new("RGB", (CANVAS, CANVAS), first)
    draw = ImageDraw.Draw(image)
    step, lean = int(rng.integers(14, 40)), int(rng.integers(-80, 80))
    for x in range(-100, CANVAS + 100, step):
        draw.line([(x, 0), (x + lean, CANVAS)], fill=stripe, width=step // 2)
    return image


def _meadow(rng: Generator) -> Image.Image:
    image = Image.new("RGB", (CANVAS, CANVAS), shade((140, 196, 236), rng.uniform(0.7, 1.3)))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = rng.uniform((0, 10), (CANVAS, 60))
        for dx, r in ((-14, 9), (0, 13), (14, 9)):
            draw.ellipse([x + dx - r, y - r, x + dx + r, y + r], fill=(244, 248, 252))
    green = shade((112, 168, 76), rng.uniform(0.7, 1.2))
    horizon = rng.uniform(0.35, 0.75) * CANVAS
    draw.ellipse([-120, horizon - 20, 160, CANVAS * 2], fill=shade(green, 0.85))
    draw.rectangle([0, horizon, CANVAS, CANVAS], fill=green)
    for x, y in rng.uniform((0, horizon), (CANVAS, CANVAS), (40, 2)):
        draw.line([(x, y), (x + 2, y - 8)], fill=shade(green, 0.75), width=2)
    return image


def _room(wall: Colour, floor: Colour, rng: Generator) -> Image.Image:
    image = Image.new("RGB", (CANVAS, CANVAS), wall)
    draw = ImageDraw.Draw(image)
    ground = int(rng.uniform(0.5, 0.85) * CANVAS)
    draw.rectangle([0, ground, CANVAS, CANVAS], fill=shade(floor, 0.85))
    draw.rectangle([0, ground - 6, CANVAS, ground], fill=shade(wall, 1.5))
    for x in range(-CANVAS, 2 * CANVAS, 40):
        draw.line(
            [(CANVAS / 2 + (x - CANVAS / 2) * 0.6, ground), (x, CANVAS)], shade(floor, 0.7), 2
        )
    x, y, w, h = rng.integers((0, 0, 40, 40), (CANVAS - 40, 50, 80, 80))
    draw.rectangle([x, y, x + w, y + h], fill=shade(floor, 1.3), outline=shade(wall, 0.5), width=5)
    return image


def _foreground(image: Image.Image, rng: Generator) -> None:
    draw = ImageDraw.Draw(image)
    colour = shade(BACKDROPS[rng.integers(len(BACKDROPS))], rng.uniform(0.6, 1.2))
    kind = rng.choice(["grass", "ball", "box", "bars", "plant"])
    if kind == "grass":
        tops = rng.uniform(0.35, 0.85) * CANVAS + rng.normal(0, 14, 45)
        for x, top in zip(rng.uniform(0, CANVAS, 45), tops, strict=True):
            lean = rng.normal(0, 14)
            green = shade((96, 156, 66), rng.uniform(0.6, 1.2))
            draw.polygon([(x - 4, CANVAS), (x + lean, top), (x + 4, CANVAS)], fill=green)
    elif kind == "ball":
        r = rng.uniform(18, 42)
        x, y = rng.uniform((0, CANVAS * 0.45), (CANVAS, CANVAS))
        draw.ellipse([x - r, y - r, x + r, y + r], fill=colour, outline=shade(colour, 0.6), width=3)
        draw.arc([x - r, y - 2 * r, x + r, y], 20, 160, fill=shade(colour, 1.6), width=4)
    elif kind == "box":
        top = rng.uniform(0.45, 0.8) * CANVAS
        draw.rectangle([0, top, CANVAS, CANVAS], fill=colour, outline=shade(colour, 0.6), width=4)
        draw.line([(0, top + 14), (CANVAS, top + 14)], fill=shade(colour, 0.8), width=3)
    elif kind == "bars":
        width = int(rng.integers(5, 14))
        for x in range(int(rng.integers(0, 40)), CANVAS, int(rng.integers(34, 60))):
            draw.rectangle([x, 0, x + width, CANVAS], fill=colour)
    else:
        side = rng.choice([0, CANVAS])
        for _ in range(9):
            root = np.array([side, rng.uniform(0.3, 1.1) * CANVAS])
            leaf = rng.uniform((30, -60), (110, 20)) * (1 if side == 0 else -1, 1)
            green = shade((70, 140, 84), rng.uniform(0.6, 1.3))
            path = np.array([root, root + leaf * (0.5, 0.8), root + leaf])
            draw.polygon(list(map(tuple, tube(path, 12, 2).tolist())), fill=green)


def _photograph(image: Image.Image, rng: Generator) -> Image.Image:
    image = image.resize((SIZE, SIZE), Image.Resampling.BOX)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    first, last = rng.uniform(0.75, 1.15, 2)
    light = np.linspace(first, last, SIZE, dtype=np.float32)
    light = light[:, None, None] if rng.random() < 0.5 else light[None, :, None]
    cast = rng.normal(1, 0.05, 3).astype(np.float32) * (0.5 if rng.random() < 0.05 else 1)
    grain = rng.standard_normal((SIZE, SIZE, 1), np.float32) * np.float32(rng.uniform(1, 10))
    pixels = np.asarray(image) * (light * cast) + grain
    return Image.fromarray(pixels.clip(0, 255, out=pixels).astype(np.uint8))


def stage(config: Config) -> None:
    """Draw the project's sample, where it is asked for; else its folders stay as they are."""
    paths = Paths(project_root())
    drawn = (paths.sample, paths.single_prediction)
    asked = [paths.pictures(key) for key in (config.images, config.predict_images)]
    if any(_overlap(one, folder) for one in asked if isinstance(one, Path) for folder in drawn):
        draw_sample(*drawn, seed=config.seed)
        return
    for folder in drawn:  # DVC wants what a stage writes to be there
        folder.mkdir(parents=True, exist_ok=True)
    log.info("nothing is drawn, as neither images nor predict_images is in %s", paths.sample)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
