"""Runs that are killed or stopped: at every step, and at any time."""

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import is_alive

EVERY_STEP = Path(__file__).with_name("killed_at_every_step.py")


def killed_at_every_step(images, base, image_size=8, every=1):
    """How many steps there are; the program checks what is left after a kill before each."""
    base.mkdir(exist_ok=True)
    command = [sys.executable, str(EVERY_STEP), str(images), str(base), str(image_size), str(every)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def images(tmp_path, paint_textures):
    root = paint_textures(tmp_path / "images", {"cats": 6, "dogs": 6}, size=(60, 45))
    (root / "cats" / "notes.txt").write_text("about")
    time.sleep(0.12)
    return root


def test_a_first_run_may_be_killed_before_any_step(images, tmp_path):
    assert killed_at_every_step(images, tmp_path / "data", every=3) > 40


def test_a_later_run_may_be_killed_before_any_step(images, tmp_path, preparation, texture):
    assert preparation(images).run(image_size=130) == 13
    texture(1, (50, 40)).save(images / "cats" / "new.jpg")
    (images / "dogs" / "003.jpg").unlink()
    assert killed_at_every_step(images, tmp_path / "data", 130) > 40


def test_a_run_on_an_archive_may_be_killed_before_any_step(images, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in sorted(images.rglob("*.*")):
            archive.write(file, file.relative_to(images))
    assert killed_at_every_step(tmp_path / "pets.zip", tmp_path / "data", every=6) > 60


# At any time


PROGRAM = """
import logging, sys
from pathlib import Path
from pawprint.system.errors import UserError
from pawprint.stages import prepare as stage

stage._LOCK_TIMEOUT = float(sys.argv[3])
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
images, base = map(Path, sys.argv[1:3])
settings = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.2}
try:
    stage.prepare(images, base / "prepared", image_size=64, report=base / "report", **settings)
except UserError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
"""
PICTURES = 400


@dataclass(frozen=True)
class Undisturbed:
    """A folder of many pictures, and a run that was let go to its end."""

    images: Path
    seconds: float
    content: dict[str, bytes]


def started(images, base, patience=5):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(images), str(base), str(patience)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def ended(process, code=0):
    said, errors = process.communicate(timeout=300)
    assert process.returncode == code, said + errors
    return said, errors


def content_of(base):
    folder = base / "prepared"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def decoded_in(said):
    return int(re.search(r"; ([\d,]+) were decoded", said)[1].replace(",", ""))


def descendants(pid):
    """The processes that ``pid`` started and that are alive."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in children]


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_soon_gone(workers):
    try:
        wait_until(lambda: not any(map(is_alive, workers)))
    finally:
        for pid in filter(is_alive, workers):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, paint_textures):
    base = tmp_path_factory.mktemp("undisturbed")
    each = PICTURES // 2
    images = paint_textures(base / "images", {"cats": each, "dogs": each}, size=(200, 150))
    start = time.monotonic()
    said, _ = ended(started(images, base))
    assert decoded_in(said) == PICTURES
    return Undisturbed(images, time.monotonic() - start, content_of(base))


@pytest.mark.parametrize("whom", ["all", "parent"])
@pytest.mark.parametrize("part", [0.3, 0.45, 0.6, 0.75, 0.95])
def test_a_run_may_be_killed_at_any_time(undisturbed, tmp_path, part, whom):
    process = started(undisturbed.images, tmp_path)
    time.sleep(part * undisturbed.seconds)
    workers = descendants(process.pid)
    if whom == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate(timeout=300)
    said, errors = ended(started(undisturbed.images, tmp_path))
    assert errors == ""
    assert content_of(tmp_path) == undisturbed.content
    assert names_in(tmp_path) == [".prepared.lock", ".prepared.memory", "prepared", "report"]
    assert names_in(tmp_path / "report") == [
        "audit.html",
        "copies.csv",
        "metrics.json",
        "problems.csv",
    ]
    assert decoded_in(said) <= PICTURES
    assert_soon_gone(workers)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def reading_began(base):
    """Whether some pictures were read and remembered."""
    return any(base.glob(".prepared.memory/*/journal/[!.]*.arrow"))


def test_what_a_killed_run_had_read_is_not_decoded_again(undisturbed, tmp_path):
    process = started(undisturbed.images, tmp_path)
    wait_until(lambda: reading_began(tmp_path))
    process.kill()
    process.communicate(timeout=300)
    said, _ = ended(started(undisturbed.images, tmp_path))
    assert decoded_in(said) < PICTURES
    assert content_of(tmp_path) == undisturbed.content


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_the_earlier_output_and_goes_on_from_there(
    undisturbed, tmp_path, sent
):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "summary.json").write_text("earlier")
    process = started(undisturbed.images, tmp_path)
    wait_until(lambda: reading_began(tmp_path))
    workers = descendants(process.pid)
    os.killpg(process.pid, sent)
    _, errors = ended(process, code=130 if sent == signal.SIGINT else -signal.SIGTERM)
    assert errors == ""
    assert content_of(tmp_path) == {"summary.json": b"earlier"}
    assert_soon_gone(workers)
    said, _ = ended(started(undisturbed.images, tmp_path))
    assert decoded_in(said) < PICTURES
    assert content_of(tmp_path) == undisturbed.content
    assert names_in(tmp_path) == [".prepared.lock", ".prepared.memory", "prepared", "report"]


def test_of_two_at_once_one_says_so_and_the_other_is_not_disturbed(undisturbed, tmp_path):
    first = started(undisturbed.images, tmp_path)
    wait_until(lambda: reading_began(tmp_path))
    first.send_signal(signal.SIGSTOP)
    try:
        _, errors = ended(started(undisturbed.images, tmp_path, patience=0.3), code=1)
    finally:
        first.send_signal(signal.SIGCONT)
    assert errors.strip() == (
        f'another process is preparing pictures in "{tmp_path / "prepared"}": '
        "wait until it has ended"
    )
    ended(first)
    assert content_of(tmp_path) == undisturbed.content


def test_one_that_ends_in_time_is_waited_for(undisturbed, tmp_path):
    first, second = (started(undisturbed.images, tmp_path, patience=30) for _ in range(2))
    decoded = sorted(decoded_in(ended(process)[0]) for process in (first, second))
    assert decoded == [0, PICTURES]
    assert content_of(tmp_path) == undisturbed.content
