"""Predictions from the shell beside Keras' own way: one picture, and a folder of thousands.

    python benchmarks/predict.py FOLDER

FOLDER holds class folders, or `training_set` and `test_set` with them. The article's network
learns for an epoch and becomes champion. One picture: `pawprint predict PICTURE` in a new process
against a process that imports Keras, loads the same network's `.keras` file and predicts. All
pictures: `pawprint predict FOLDER -r -o FILE.csv` against `keras.models.load_model`,
`image_dataset_from_directory` and `predict` with the answers written as CSV; each a whole command,
beside the same decoding alone and the same network alone on all cores.

EXPECTED on 2 cores: one picture in 0.22 s, 1/19 of the time of Keras; 3,100 pictures a second, 2.5
times as many. Decoding alone takes a third of the time that decoding and the network's arithmetic
take together, so that a third of its speed is all there is (a half of the speed of plain Pillow's
decoding); of the speed that the sum of both allows, nine tenths.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import tables
from project import Copy, copied
from trained import train

ONE = """
import sys
import keras
import numpy as np
model = keras.models.load_model("models/model.keras")
picture = keras.utils.load_img(sys.argv[1], target_size=(64, 64))
print(model.predict(np.expand_dims(keras.utils.img_to_array(picture), 0), verbose=0))
"""
ALL = """
import csv, sys
import keras
model = keras.models.load_model("models/model.keras")
pictures = keras.utils.image_dataset_from_directory(
    sys.argv[1], labels=None, image_size=(64, 64), shuffle=False, verbose=False
)
answers = model.predict(pictures, verbose=0)
with open("keras.csv", "w", newline="") as file:
    csv.writer(file).writerows([path, *row] for path, row in zip(pictures.file_paths, answers))
"""
ALONE = """
import functools, itertools, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from pawprint.data.decode import read_picture
from pawprint.data.reading.workers import on_all_cores
from pawprint.inference.batch_prediction import _open_predictor, find_files

def decode(files):
    return [read_picture(Path(file), 64) is None for file in files]

def plain(files):
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)

def compute(files):
    pictures = np.zeros((len(files), 64, 64, 3), np.uint8)
    return _open_predictor(Path("models/model.onnx")).probabilities(pictures)

files = list(find_files([sys.argv[1]], recursive=True))
parts = [files[at:at + 64] for at in range(0, len(files), 64)]
for work in (decode, plain, compute):
    begin = time.perf_counter()
    for _ in on_all_cores(work, parts):
        pass
    print(time.perf_counter() - begin)
"""
PREDICT = ("python", "-m", "pawprint", "predict")


def main() -> None:
    """Time each side in turn, round after round, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = given.folder.resolve()
    with copied() as copy:
        settings = (f"images={folder}", "recipe=article")
        copy.stage("prepare", *settings)
        train(copy, *settings, "epochs=1")
        copy.stage("evaluate")
        copy.stage("register")
        _one(copy, folder, given.rounds)
        _all(copy, folder, given.rounds)


def _one(copy: Copy, folder: Path, rounds: int) -> None:
    picture = str(next(folder.rglob("*.jpg")))
    ours = [_time(copy, *PREDICT, picture) for _ in range(rounds + 1)][1:]
    keras = [_time(copy, "python", "-c", ONE, picture) for _ in range(rounds + 1)][1:]
    tables.head("one picture, cold", "median seconds", "from", "to")
    tables.row("`pawprint predict`", *tables.spread(ours, ".2f"))
    tables.row("Keras", *tables.spread(keras, ".2f"))
    print(f"\nKeras ÷ ours: {tables.ratio(keras, ours)}\n")


def _all(copy: Copy, folder: Path, rounds: int) -> None:
    count = sum(1 for path in folder.rglob("*") if path.is_file())
    ours, keras, decoding, pillow, computing, together = [], [], [], [], [], []
    for _ in range(rounds):
        ours.append(count / _time(copy, *PREDICT, str(folder), "-r", "-o", "ours.csv"))
        keras.append(count / _time(copy, "python", "-c", ALL, str(folder)))
        alone = map(float, copy.run("python", "-c", ALONE, str(folder)).split())
        decode, plain, compute = alone
        decoding.append(count / decode)
        pillow.append(count / plain)
        computing.append(count / compute)
        together.append(count / (decode + compute))
    tables.head(f"{count:,} files", "pictures a second", "from", "to")
    tables.row("`pawprint predict`, whole command", *tables.spread(ours))
    tables.row("Keras, whole command", *tables.spread(keras))
    tables.row("decoding alone", *tables.spread(decoding))
    tables.row("decoding alone, by plain Pillow", *tables.spread(pillow))
    tables.row("the network alone", *tables.spread(computing))
    tables.row("one after the other", *tables.spread(together))
    print(f"\nours ÷ Keras: {tables.ratio(ours, keras)}")
    print(f"ours ÷ decoding alone: {tables.ratio(ours, decoding)}")
    print(f"ours ÷ decoding alone by plain Pillow: {tables.ratio(ours, pillow)}")
    print(f"ours ÷ decoding and network, one after the other: {tables.ratio(ours, together)}")


def _time(copy: Copy, *command: str) -> float:
    begin = time.perf_counter()
    copy.run(*command)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
