"""How pictures should lie on disk, by their size: as they are, as JPEG, PNG or WebP.

    python benchmarks/store.py FOLDER

For each image_size: bytes a picture, pictures a second when batches of 32 are read in random order
with one thread, and by how much a picture differs from what was stored. Pictures of FOLDER are put
side by side where they are smaller than the size, so that no size is made of enlarged pixels.
Pawprint stores pictures as they are up to 128 pixels and as JPEG of quality 95 with whole chroma
above.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

PICTURES = 256


def main() -> None:
    """Encode and read with each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 160, 224, 384, 512])
    given = parser.parse_args()
    files = [path for path in sorted(given.folder.rglob("*.jpg")) if path.is_file()]
    files = files[:: max(1, len(files) // 2000)]
    print("| image_size | encoding | KB a picture | GB for 100,000 | read/s | mean difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in given.sizes:
        pictures = _pictures(files, size)
        for name, (encode, decode) in ENCODINGS.items():
            stored = [encode(picture) for picture in pictures]
            back = [decode(content, size) for content in stored]
            pairs = zip(pictures, back, strict=True)
            difference = np.mean([np.abs(a.astype(int) - b) for a, b in pairs])
            kilobytes = sum(map(len, stored)) / len(stored) / 1000
            print(
                f"| {size} | {name} | {kilobytes:.1f} | {kilobytes / 10:.1f} | "
                f"{_speed(stored, size, decode):,.0f} | {difference:.2f} |",
                flush=True,
            )


def _pictures(files: list[Path], size: int) -> list[np.ndarray]:
    pictures, rest = [], iter(files * 9)
    for _ in range(PICTURES):
        with Image.open(next(rest)) as first:
            tile = min(size, *first.size)
        across = -(-size // tile)
        whole = Image.new("RGB", (across * tile, across * tile))
        for place in range(across * across):
            with Image.open(next(rest)) as image:
                part = image.convert("RGB")
                if size < tile + 1:
                    part = part.resize((tile, tile), Image.Resampling.BILINEAR)
            whole.paste(part, (place % across * tile, place // across * tile))
        pictures.append(np.asarray(whole.crop((0, 0, size, size))))
    return pictures


def _speed(stored: list[bytes], size: int, decode: Callable[[bytes, int], np.ndarray]) -> float:
    order = np.random.default_rng(0)
    rates = []
    for _ in range(7):
        begin = time.perf_counter()
        for _ in range(4):
            batch = np.empty((32, size, size, 3), np.uint8)
            for place, row in enumerate(order.integers(0, len(stored), 32)):
                batch[place] = decode(stored[row], size)
        rates.append(4 * 32 / (time.perf_counter() - begin))
    return statistics.median(rates)


def _pillow(kind: str, **options: object) -> tuple[Callable, Callable]:
    def encode(picture: np.ndarray) -> bytes:
        content = io.BytesIO()
        Image.fromarray(picture).save(content, kind, **options)
        return content.getvalue()

    return encode, lambda content, _: np.asarray(Image.open(io.BytesIO(content)))


def _jpeg(quality: int) -> tuple[Callable, Callable]:
    def encode(picture: np.ndarray) -> bytes:
        pixels = np.ascontiguousarray(picture)
        return simplejpeg.encode_jpeg(pixels, quality=quality, colorsubsampling="444")

    return encode, lambda content, _: simplejpeg.decode_jpeg(content, "RGB")


def _raw(content: bytes, size: int) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(size, size, 3)


ENCODINGS = {
    "as it is": (lambda picture: picture.tobytes(), _raw),
    "JPEG 95": _jpeg(95),
    "JPEG 90": _jpeg(90),
    "PNG": _pillow("PNG", compress_level=1),
    "WebP lossless": _pillow("WEBP", lossless=True, method=0),
}


if __name__ == "__main__":
    main()
