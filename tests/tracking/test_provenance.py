import sys

import pytest

from pawprint.config.compose import project_root
from pawprint.tracking.provenance import provenance


@pytest.mark.parametrize("program", ["/usr/bin/pawprint", "/src/pawprint/__main__.py"])
def test_the_command_is_told_as_a_person_would_type_it(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program, "train", "optimizer=adam", "images=my pictures"])
    tags = provenance(project_root())
    assert tags["command"] == "pawprint train optimizer=adam 'images=my pictures'"
    assert tags["mlflow.source.name"] == "pawprint train"
