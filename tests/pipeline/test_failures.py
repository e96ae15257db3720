"""What a failed or stopped stage leaves behind."""

import re
import signal
import time

import pytest

MODELS = ("model.keras", "model.onnx", "history.csv", "run.json")


def test_a_train_stage_that_fails_under_dvc_leaves_the_earlier_model(project):
    before = {name: (project.root / "models" / name).read_bytes() for name in MODELS}
    project.edit("params.yaml", "dropout: 0.2", "dropout: 2.0")
    done = project.run("dvc", "repro", code=None)
    assert done.returncode != 0
    assert "error: dropout is 2.0, but must be at least 0 and below 1; change it" in done.stderr
    after = {name: (project.root / "models" / name).read_bytes() for name in MODELS}
    assert after == before
    project.edit("params.yaml", "dropout: 2.0", "dropout: 0.2")
    assert project.repro() == []


def test_a_sweep_of_augment_previews_is_refused_and_opens_no_run(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    done = project.stage("train", "--augment-preview", "-m", "augment=none,light", code=1)
    assert done.stderr == "error: --augment-preview draws one augment at a time; leave out -m\n"
    assert not (project.root / "mlflow.db").exists()


def test_pictures_that_are_gone_leave_what_was_prepared(project):
    before = (project.root / "data/prepared/manifest.parquet").read_bytes()
    project.edit("params.yaml", "images: pictures", "images: nowhere")
    assert project.run("dvc", "repro", code=None).returncode != 0
    assert (project.root / "data/prepared/manifest.parquet").read_bytes() == before


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_training_is_marked_and_exits_with_the_signals_code(project, sent, code):
    before = (project.root / "models/run.json").read_bytes()
    training = project.start("python", "-m", "pawprint", "train", "epochs=500", "patience=500")
    for line in training.stdout:
        if line.startswith("epoch 2/"):
            training.send_signal(sent)
            break
    said, _ = training.communicate(timeout=300)
    assert training.returncode == code, said
    assert "Traceback" not in said
    assert project.runs()[-1].info.status == "KILLED"
    assert (project.root / "models/run.json").read_bytes() == before


def test_ctrl_c_exits_with_its_code_where_it_meets_a_class_in_the_making(fresh, tmp_path):
    (tmp_path / "stage.py").write_text(
        "import signal\n"
        "from pawprint.cli import end_with\n"
        "from pawprint.commands.stage import Stage, run_stage\n"
        "def make(_):\n"
        "    exec('signal.raise_signal(signal.SIGINT)\\nfor _ in range(9): pass')\n"
        "stage = Stage('train', 'a stage', 'stage:make')\n"
        "if __name__ == '__main__':  # where SIGINT is ignored in the background\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    end_with(lambda: run_stage(stage, []), 'train')\n"
    )
    both = f"{fresh.root / 'src'}:{tmp_path}"
    done = fresh.run("python", "-m", "stage", code=130, PYTHONPATH=both)
    assert done.stderr == "stopped\n"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_prepare_leaves_the_earlier_output_and_goes_on_from_there(
    fresh, tmp_path, paint_textures, sent, code
):
    project = fresh.copy(tmp_path / "project")
    project.stage("prepare")
    prepared = project.root / "data" / "prepared"
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    paint_textures(project.root / "pictures", {"cats/more": 400}, size=(200, 150))
    stage = project.start("python", "-m", "pawprint", "prepare")
    while not any(prepared.parent.glob(".prepared.memory/*/journal/[!.]*.arrow")):
        assert stage.poll() is None
        time.sleep(0.01)
    stage.send_signal(sent)
    said, _ = stage.communicate(timeout=300)
    assert stage.returncode == code, said
    assert "Traceback" not in said
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == before
    beside = {path.name for path in prepared.parent.iterdir()}
    assert beside == {".prepared.lock", ".prepared.memory", "prepared"}
    said = project.stage("prepare").stdout
    decoded = int(re.search(r"(\d+) were decoded", said)[1])
    assert 0 < decoded < 400


def test_a_full_disk_leaves_the_earlier_evaluation_and_says_which_file(project):
    folder = project.root / "reports" / "evaluate"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    project.stage("champion")  # from here on the store knows that the project was copied
    limited = "ulimit -f 64; python -m pawprint evaluate sure_precision=0.9"  # kB of a file
    done = project.run("bash", "-c", limited, code=1)
    assert re.fullmatch(
        f"error: {folder}/report.html cannot be read or written: File too large; .*\n", done.stderr
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.glob(".*")] == []


FULL = "error: standard output has no room left; free some, or write elsewhere\n"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("python -m pawprint prepare >&-", 0, ""),
        ("python -m pawprint prepare > /dev/full", 1, FULL),
        ("python -u -m pawprint prepare > /dev/full", 1, FULL),
    ],
)
def test_a_stage_works_without_standard_output(fresh, tmp_path, command, code, said):
    project = fresh.copy(tmp_path / "project")
    done = project.run("bash", "-c", command, code=code)
    assert done.stderr == said
    assert (project.root / "data" / "prepared" / "summary.json").exists()


def test_register_refuses_figures_of_another_training(project):
    project.stage("train", "epochs=1")
    done = project.stage("register", code=1)
    assert "no figures of this network" in done.stderr
    assert len(project.client().search_model_versions("name = 'pawprint'")) == 1


def test_a_network_is_not_tested_on_pictures_it_may_have_learned_from(project):
    project.stage("prepare", "seed=3")
    done = project.stage("evaluate", code=1)
    assert "trained beside other test pictures" in done.stderr


def test_class_names_that_mlflow_does_not_take_lose_no_figure(project):
    for old, new in (("cats", "hunde & katzen (gut)"), ("dogs", "label")):
        (project.root / "pictures" / old).rename(project.root / "pictures" / new)
    for stage in ("prepare", "train", "evaluate"):
        done = project.stage(stage)
        assert "record" not in done.stdout + done.stderr
    metrics = project.runs()[-1].data.metrics
    assert "test_accuracy" in metrics
    assert "test_precision_hunde _ katzen _gut_" in metrics
    header = (project.root / "reports/evaluate/predictions.csv").read_text().splitlines()[0]
    assert header == "path,label,predicted,hunde & katzen (gut),label (class)"


def test_the_summary_names_the_pictures_as_the_parameters_do(finished):
    assert finished.json("data/prepared/summary.json")["images"] == "pictures"


def test_a_path_with_brackets_and_commas_needs_no_quoting(project):
    odd = project.root / "three [v,1] ünï"
    (project.root / "pictures").rename(odd)
    project.stage("prepare", f"images={odd}")
    assert project.json("data/prepared/summary.json")["images"] == str(odd)


def test_a_store_of_another_kind_is_one_sentence(finished):
    done = finished.stage("evaluate", MLFLOW_TRACKING_URI="postgresql://x", code=1)
    assert done.stderr.startswith("error: the tracking store postgresql://x cannot be used (")
    assert "Traceback" not in done.stderr
