"""The workflow of a project of one's own; all steps but those that need GitHub are run."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from pawprint.project.workflow import write_workflow
from pawprint.system.version import __version__

DVC_YAML = """\
stages:
  evaluate:
    cmd: cp score.json reports/evaluate/metrics.json
    deps:
      - score.json
    params:
      - depth
    metrics:
      - reports/evaluate/metrics.json
"""


@pytest.fixture
def project(tmp_path):
    """Runs commands in a repository of DVC: a branch with another parameter, an empty remote."""
    root = tmp_path / "project"
    who = {f"GIT_{w}_{k}": "tester" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT", "PYTHON"))}
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{mine['PATH']}"  # noqa: PTH120

    def run(script, **variables):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=root,
            env=mine | who | {"PATH": path} | variables,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.root = root
    (root / "reports/evaluate").mkdir(parents=True)
    (root / "dvc.yaml").write_text(DVC_YAML)
    for name in ("confusion_matrix", "roc"):
        (root / f"reports/evaluate/{name}.png").write_bytes(name.encode())
    (root / ".gitignore").write_text("/reports/\n")
    run("git init -q --bare ../origin && git init -qb main && dvc init -q")
    run("git remote add origin ../origin && dvc remote add -q -d storage ../storage")
    for depth, score in ((2, 0.75), (3, 0.875)):
        (root / "params.yaml").write_text(f"depth: {depth}\n")
        (root / "score.json").write_text(json.dumps({"test_accuracy": score}))
        commit = "dvc repro -q && git add -A && git commit -qm 'a depth' && git push -q origin main"
        run(commit if depth == 2 else "git switch -qc deeper")
    return run


@pytest.fixture
def steps(tmp_path):
    """The steps of the workflow, as it is written, by name."""
    file = write_workflow(tmp_path)
    assert file == tmp_path / ".github/workflows/pawprint.yml"
    text = file.read_text()
    assert "@P" not in text
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"pull_request": None}  # YAML reads `on` as true
    (job,) = workflow["jobs"].values()
    used = [step.get("uses", "").partition("@")[0] for step in job["steps"]]
    assert used[:2] == ["actions/checkout", "actions/setup-python"]
    assert all(step.keys() <= {"name", "uses", "with", "run", "if", "env"} for step in job["steps"])
    return {step["name"]: step for step in job["steps"] if "name" in step}


def test_it_installs_the_pawprint_that_wrote_it(steps):
    package = f"pawprint-classifier[train]=={__version__}"
    assert steps["Install"]["run"] == f"pip install '{package}'"


def test_a_pull_request_is_told_figures_parameters_and_pictures(project, steps, tmp_path):
    files = {name: str(tmp_path / name) for name in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    variables = files | {
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "me/flowers",
        "BASE": "origin/main",
        "NUMBER": "7",
    }
    project(steps["Reproduce"]["run"], **variables)
    project(steps["Keep the pictures on a branch of their own"]["run"], **variables)
    kept = (tmp_path / "GITHUB_ENV").read_text().strip().removeprefix("PICTURES=")
    # What the address leads to is on the branch at the other end.
    address, commit = kept.rsplit("/", 1)
    assert address == "https://github.example/me/flowers/blob"
    branch = project("git -C ../origin rev-parse pawprint-pictures/7").strip()
    assert branch == commit
    assert project(f"git -C ../origin show {commit}:roc.png") == "roc"
    assert ".png" not in project("git status --porcelain")  # nor in the index of the project
    project(steps["Write the comment"]["run"], **variables, PICTURES=kept)
    comment = (tmp_path / "comment.md").read_text()
    figures, parameters, pictures = comment.split("## ")[1:]
    assert figures.startswith("Figures, against origin/main\n| Path ")
    cells = [[c.strip() for c in line.split("|")] for line in comment.splitlines()]
    metrics = "reports/evaluate/metrics.json"
    assert ["", metrics, "test_accuracy", "0.75", "0.875", "0.125", ""] in cells
    assert ["", "params.yaml", "depth", "2", "3", ""] in cells
    assert "depth" in parameters
    assert pictures.splitlines() == [
        "Pictures of the evaluation",
        f"![confusion matrix]({kept}/confusion_matrix.png?raw=true)",
        f"![roc]({kept}/roc.png?raw=true)",
    ]
    # From a fork there are no pictures, and all is in the summary.
    project(steps["Write the comment"]["run"], **variables)
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert summary.count("## Figures") == 2
    assert summary.count("## Pictures") == 1


def test_only_who_may_do_so_pushes_and_comments(steps):
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    bound = [name for name, step in steps.items() if step.get("if") == own]
    assert bound == ["Keep the pictures on a branch of their own", "Comment on the pull request"]
    assert "gh pr comment" in steps[bound[1]]["run"]
    for step in steps.values():  # what others may name is no part of a script
        assert "${{" not in step["run"]
