"""What launchers share, and how they divide a machine."""

from pathlib import Path

import pytest

from pawprint.config.compose import compose
from pawprint.sweep.launchers import base
from pawprint.sweep.launchers.base import Launcher
from pawprint.sweep.launchers.joblib import LocalProcesses, _share, usable_gpus
from pawprint.sweep.planner import Planner, SweepSpec
from pawprint.system.errors import UserError
from pawprint.training.trial import FAILED, FINISHED, KILLED, Outcome


class Scripted(Launcher):
    """Jobs that end once they are interrupted, as they are told to, or never."""

    def __init__(self, endings):
        super().__init__(len(endings))
        self.endings, self.interrupted = endings, []

    def close(self):
        pass

    def _submit(self, trial):
        return trial.number

    def _wait(self, jobs, timeout):
        return [job for job in jobs if job in self.interrupted and self.endings[job]]

    def _outcome(self, job):
        return Outcome(self.endings[job])

    def _interrupt(self, job):
        self.interrupted.append(job)


def started(endings):
    spec = SweepSpec([], {"depth": ""}, compose(), compose, Path("trials"), {})
    planner = Planner(spec, "data", "run", "store")
    launcher = Scripted(endings)
    for number in range(len(endings)):
        launcher.start(planner.trial([f"depth={number + 1}"], number))
    return launcher


def test_stopped_trials_end_as_they_say_or_as_killed(monkeypatch):
    monkeypatch.setattr(base, "PATIENCE", 0.1)
    ended = started([FINISHED, FAILED, KILLED, None]).stop()
    statuses = {trial.number: outcome.status for trial, outcome in ended}
    assert statuses == {0: FINISHED, 1: KILLED, 2: KILLED, 3: KILLED}


def test_a_trial_that_has_ended_is_told_once():
    launcher = started([FINISHED, None])
    launcher.interrupted.append(0)
    ((trial, outcome),) = launcher.wait()
    assert (trial.name, outcome.status) == ("depth=1", FINISHED)
    assert launcher.wait() == []


@pytest.mark.parametrize(
    ("count", "shares"),
    [(1, [[0, 1, 2, 3, 4]]), (2, [[0, 1], [2, 3]]), (7, [[0], [1], [2], [3], [4], [0], [1]])],
)
def test_each_process_has_its_share_of_the_cores_and_one_at_least(count, shares):
    assert [_share([0, 1, 2, 3, 4], place, count) for place in range(count)] == shares
    assert _share([], 0, count) == []


@pytest.mark.parametrize(("given", "gpus"), [("0,1", ["0", "1"]), ("", []), ("-1", [])])
def test_trials_are_given_the_gpus_that_the_sweep_may_use(monkeypatch, given, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert usable_gpus() == gpus


@pytest.mark.parametrize("count", [0, -2, 1.5, "many"])
def test_a_number_of_processes_that_is_none_is_refused(count):
    said = f"hydra.launcher.n_jobs is {count}, but must be at least 1, or -1 for one per core"
    with pytest.raises(UserError, match=said):
        LocalProcesses(count)
