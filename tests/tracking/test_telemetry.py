import os
import subprocess
import sys

import pytest

ASK = """
import sys
from pawprint.tracking.store import reach
reach(sys.argv[1])
from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
print(MLFLOW_DISABLE_TELEMETRY.get())
"""


@pytest.mark.parametrize(("given", "disabled"), [(None, "True"), ("false", "False")])
def test_mlflow_tells_its_makers_nothing_unless_it_is_told_to(tmp_path, given, disabled):
    name = "MLFLOW_DISABLE_TELEMETRY"
    mine = {k: v for k, v in os.environ.items() if k != name} | ({name: given} if given else {})
    done = subprocess.run(
        [sys.executable, "-c", ASK, f"sqlite:///{tmp_path / 'mlflow.db'}"],
        capture_output=True,
        text=True,
        check=True,
        env=mine,
    )
    assert done.stdout.split()[-1] == disabled
