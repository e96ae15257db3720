"""Each in a process of its own: a fork is made only beside no other thread."""

import os
import signal
import subprocess
import sys
import time

import pytest
from processes import is_alive

BEGIN = """
import functools, multiprocessing, os, signal, sys, threading, time
import numpy as np
from pawprint.system.errors import UserError
from pawprint.data.reading.files import read_chunk
from pawprint.data.reading.workers import on_all_cores

paths = sys.argv[1:]
NOTHING = np.empty(0, "S32")

def chunks(paths):
    work = functools.partial(read_chunk, image_size=8, resize="squash", known=NOTHING)
    return on_all_cores(work, (paths[at : at + 64] for at in range(0, len(paths), 64)))

def children():
    return [child.pid for child in multiprocessing.active_children()]
"""
CORES = len(os.sched_getaffinity(0))
several_cores = pytest.mark.skipif(
    sys.platform != "linux" or CORES == 1, reason="one core reads without further processes"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory, paint_folder):
    """90 files, of which one is no picture."""
    root = paint_folder(tmp_path_factory.mktemp("images"), {"cats": 89})
    (root / "cats" / "050b.png").write_text("no picture")
    return sorted(str(path) for path in (root / "cats").iterdir())


def arguments(program, files):
    return [sys.executable, "-c", BEGIN + program, *files]


def run(program, files):
    done = subprocess.run(
        arguments(program, files), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


SAME = """
expected = read_chunk(paths, 8, "squash", NOTHING)
found = list(chunks(paths))
assert np.array_equal(np.concatenate([chunk.records for chunk in found]), expected.records)
assert b"".join(chunk.pixels for chunk in found) == expected.pixels
assert b"".join(chunk.thumbs for chunk in found) == expected.thumbs
assert sum((chunk.known for chunk in found), []) == expected.known
assert children() == []
print(len(found))
"""


@pytest.mark.parametrize("count", [0, 1, 64, 65, 90])
def test_files_come_in_their_order_however_many_there_are(files, count):
    if count == 0:
        assert run("print(len(list(chunks(paths))))", []) == ["0"]
        return
    assert run(SAME, files[:count]) == [str(-(-count // 64))]


def test_the_same_comes_beside_another_thread(files):
    program = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert run(program + SAME, files) == ["2"]


@several_cores
def test_processes_decode_and_beside_another_thread_none_is_forked(files):
    count = "found = chunks(paths); next(found); print(len(children()))\nfor _ in found: pass\n"
    assert run(count, files) == [str(CORES)]
    thread = "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    assert run(thread + count, files) == ["0"]
    assert run(count, files[:64]) == ["0"]


@several_cores
def test_a_process_that_is_killed_is_one_sentence(files):
    program = """
found = chunks(paths * 20)
next(found)
os.kill(children()[0], signal.SIGKILL)
try:
    for _ in found: pass
except UserError as error:
    print(str(error).replace(" ", "_"), len(children()))
"""
    sentence, left = run(program, files)
    assert sentence.startswith("a_process_that_decodes_pictures_was_killed")
    assert sentence.endswith("what_was_read_is_kept")
    assert left == "0"


@several_cores
def test_a_reading_that_is_given_up_leaves_no_process(files):
    program = "found = chunks(paths * 20); next(found); found.close(); print(len(children()))"
    assert run(program, files) == ["0"]


@several_cores
def test_ctrl_c_does_not_reach_the_processes_that_decode(files):
    program = """
found = chunks(paths * 20)
next(found)
for child in children():
    os.kill(child, signal.SIGINT)
print(1 + sum(1 for _ in found))
"""
    assert run(program, files) == [str(-(-90 * 20 // 64))]


WAIT = """
found = chunks(paths * 20)
next(found)
print(*children(), flush=True)
{then}
"""


def started(then, files):
    """A process that has begun to read, and the ids of its workers."""
    process = subprocess.Popen(
        arguments(WAIT.format(then=then), files),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    return process, [int(word) for word in process.stdout.readline().split()]


def assert_soon_gone(workers):
    assert len(workers) == CORES
    end = time.monotonic() + 120
    while left := [pid for pid in workers if is_alive(pid)]:
        if time.monotonic() > end:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"still there: {left}")
        time.sleep(0.02)


@several_cores
@pytest.mark.parametrize("then", ["time.sleep(60)", "for _ in found: pass\ntime.sleep(60)"])
def test_processes_end_with_the_one_above_them_when_it_is_killed(files, then):
    process, workers = started(then, files)
    process.kill()
    process.communicate(timeout=300)
    assert_soon_gone(workers)


@several_cores
def test_ctrl_c_ends_all_processes_with_one_word(files):
    process, workers = started("while True: list(chunks(paths))", files)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert said.strip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1  # none of a worker
    assert_soon_gone(workers)
