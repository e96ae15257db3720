"""Runs that are killed or stopped: at every step, and at any time."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

EVERY_STEP = Path(__file__).with_name("killed_at_every_step.py")


def killed_at_every_step(images, base, image_size=8):
    """How many steps there are; the program checks what is left after a kill before each."""
    base.mkdir(exist_ok=True)
    command = [sys.executable, str(EVERY_STEP), str(images), str(base), str(image_size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def images(tmp_path, paint_textures):
    root = paint_textures(tmp_path / "images", {"cats": 6, "dogs": 6}, size=(60, 45))
    (root / "cats" / "notes.txt").write_text("about")
    time.sleep(0.12)
    return root


@pytest.mark.parametrize("image_size", [8, 130])
def test_a_first_run_may_be_killed_before_any_step(images, tmp_path, image_size):
    assert killed_at_every_step(images, tmp_path / "data", image_size) > 20


@pytest.mark.parametrize("image_size", [8, 130])
def test_a_later_run_may_be_killed_before_any_step(
    images, tmp_path, preparation, texture, image_size
):
    assert preparation(images).run(image_size=image_size) == 13
    texture(1, (50, 40)).save(images / "cats" / "new.jpg")
    (images / "dogs" / "003.jpg").unlink()
    assert killed_at_every_step(images, tmp_path / "data", image_size) > 20


def test_a_run_on_an_archive_may_be_killed_before_any_step(images, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in sorted(images.rglob("*.*")):
            archive.write(file, file.relative_to(images))
    assert killed_at_every_step(tmp_path / "pets.zip", tmp_path / "data") > 40
