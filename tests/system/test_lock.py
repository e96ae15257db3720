import logging
import signal
import subprocess
import sys
import threading
import time

import pytest

from pawprint.system.errors import BusyError
from pawprint.system.lock import locked

BUSY = "100% of it is done by another process; wait"


def test_a_second_one_is_refused_in_the_given_sentence_until_the_first_has_ended(tmp_path):
    path = tmp_path / "folder" / "a.lock"
    with (
        locked(path, busy=BUSY),
        pytest.raises(BusyError, match=f"^{BUSY}$"),
        locked(path, busy=BUSY),
    ):
        pass
    with locked(path, busy=BUSY):
        pass


def test_an_error_in_the_block_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "a.lock", busy=BUSY):
        raise KeyError
    with locked(tmp_path / "a.lock", busy=BUSY):
        pass


@pytest.mark.parametrize("patience", [None, 60])
def test_a_patient_one_has_its_turn_when_the_first_has_ended(tmp_path, caplog, patience):
    caplog.set_level(logging.INFO)
    path = tmp_path / "a.lock"
    turns = []

    def second():
        with locked(path, busy=BUSY, patience=patience):
            turns.append("second")

    with locked(path, busy=BUSY):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        turns.append("first")
    thread.join(60)
    assert turns == ["first", "second"]
    assert (BUSY in caplog.text) == (patience is None)


def test_a_killed_process_leaves_no_lock(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pawprint.system.lock import locked\n"
        "with locked(Path(sys.argv[1]), busy=''): os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "a.lock"
    command = [sys.executable, "-c", program, str(path)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    with locked(path, busy=BUSY):
        pass
