"""What the network for phones takes and loses: size, accuracy and time of float16 and int8.

    python benchmarks/litert.py FOLDER --recipes fast article transfer --weights FILE

FOLDER holds class folders, or `training_set` and `test_set` with them. Each recipe of
`conf/recipe/` is trained once, `default` being `params.yaml` as it is; then
`pawprint litert` writes it and asks it, and the ONNX network, about the test pictures.
`transfer` takes ImageNet's weights of `MobileNet(alpha=0.25)` from FILE. Times are for one picture
alone on this machine, with all its cores, which no phone has.

EXPECTED on 2,000 test pictures, one seed, accuracy of ONNX, float16 and int8: fast .8305, .8305,
.8305 with 1.22, 0.65 and 0.33 MB; article .808, .808, .809 with 6.5, 3.3 and 1.6 MB; transfer
.9645, .9645, .946 with 1.02, 0.57 and 0.36 MB. In float16 no probability differs by more than
0.0084, in int8 up to 0.03 (article), 0.07 (fast) and 0.58 (transfer).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import tables
from project import copied
from recipes import BACKBONE, DEFAULT, PRETRAINED
from trained import train


def main() -> None:
    """Train and convert each and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--recipes", nargs="+", default=["fast"])
    parser.add_argument("--weights", type=Path, help="of MobileNet, .h5, without its top")
    parser.add_argument("--settings", nargs="*", default=[], help="further ones, key=value")
    given = parser.parse_args()
    if set(PRETRAINED) & set(given.recipes) and not given.weights:
        parser.error("transfer and fine_tune need --weights")
    tables.head(
        "recipe",
        "network",
        "MB",
        "test accuracy",
        "largest difference",
        "mean difference",
        "ms a picture",
        "seconds of the command",
    )
    with copied() as copy:
        for recipe in given.recipes:
            settings = [f"images={given.folder.resolve()}"]
            settings += [f"recipe={recipe}"] if recipe != DEFAULT else []
            if recipe in PRETRAINED:
                settings += [*BACKBONE, f"model.weights={given.weights.resolve()}"]
            settings += given.settings
            copy.stage("prepare", *settings)
            train(copy, *settings)
            begin = time.monotonic()
            copy.stage("litert", *settings)
            seconds = time.monotonic() - begin
            for kind, one in copy.json("models/litert/metrics.json").items():
                tables.row(
                    recipe,
                    kind,
                    f"{one['megabytes']:.2f}",
                    f"{one['test_accuracy']:.4f}",
                    f"{one['largest_difference']:.4f}",
                    f"{one['mean_difference']:.4f}",
                    f"{one['milliseconds']:.2f}",
                    f"{seconds:.0f}",
                )


if __name__ == "__main__":
    main()
