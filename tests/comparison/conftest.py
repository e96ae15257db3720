import pytest

from pawprint.tracking.recorded import RecordedRun

ACCURATE = {"test_accuracy": 0.75}


@pytest.fixture
def a_run():
    """A function that makes a run: answers are (path, label, {class: probability})."""

    def make(run_id="a" * 32, answers=None, **other):
        text = None
        if answers is not None:
            classes = sorted(answers[0][2])
            lines = [",".join(["path", "label", "predicted", *classes])]
            for path, label, p in answers:
                lines.append(
                    ",".join([path, label, max(p, key=p.get), *(str(p[c]) for c in classes)])
                )
            text = "\n".join(lines) + "\n"
        values = {
            "id": run_id,
            "name": "a run",
            "address": "http://127.0.0.1:5000/#/runs/1",
            "started": 0,
            "parameters": {},
            "tags": {"test_digest": "1234"},
            "metrics": ACCURATE,
            "curves": {},
            "answers": text,
        }
        return RecordedRun(**(values | other))

    return make


@pytest.fixture
def cat():
    """A function that answers a picture of a cat with this probability of cats."""
    return lambda path, p: (path, "cats", {"cats": p, "dogs": 1 - p})
