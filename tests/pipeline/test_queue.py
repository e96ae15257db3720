"""`dvc exp run --queue` and `dvc queue start`: experiments at once, in copies of the project."""

import csv
import io
import re
import shlex
import time

from pawprint.config.compose import project_root


def test_queued_experiments_run_at_once_into_one_store_and_are_shown(project):
    project.run("dvc", "exp", "run", "--queue", "-S", "optimizer=adam,sgd", "-S", "epochs=1")
    # Its workers keep the output that they are given, which `run` would wait for.
    project.run("bash", "-c", "dvc queue start -j 2 > /dev/null 2>&1")
    until = time.monotonic() + 900
    while "Running" in (said := project.run("dvc", "queue", "status").stdout) or "Queued" in said:
        assert time.monotonic() < until, said
        time.sleep(4)  # each look takes a second of the two cores
    project.run("dvc", "queue", "stop")
    assert said.count("Success") == 2, said
    runs = [r for r in project.runs() if "dvc_exp_name" in r.data.tags]
    assert {r.data.params["optimizer"] for r in runs} == {"adam", "sgd"}
    assert all("test_accuracy" in r.data.metrics for r in runs)
    assert {r.info.status for r in runs} == {"FINISHED"}
    chapter = (project_root() / "docs" / "machines.md").read_text()
    (show,) = re.findall(r"^dvc exp show .*$", chapter, re.MULTILINE)
    rows = list(csv.DictReader(io.StringIO(project.run(*shlex.split(show), "--csv").stdout)))
    names = {r.data.tags["dvc_exp_name"] for r in runs}
    assert names <= {row["Experiment"] for row in rows}
    columns = list(rows[0])
    assert columns.index("test_accuracy") < columns.index("optimizer")
    assert not {"images", "seed", "model"} & set(columns)
    assert not [name for name in columns if name.startswith(("conf/", "models/", "test_recall"))]
    everything = project.run("dvc", "exp", "show", "--csv").stdout.splitlines()[0].split(",")
    assert everything.index("test_accuracy") < everything.index("refused")
