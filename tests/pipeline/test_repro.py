"""The pipeline under real DVC, real MLflow and real pictures."""

import csv
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import yaml

from pawprint.config.compose import project_root

ALL = ["sample", "prepare", "train", "evaluate", "register", "predict"]
FROM_TRAIN = ["train", "evaluate", "register"]  # and predict, where another one is champion


def test_dvc_repro_writes_what_each_stage_promises(finished):
    for path in (
        "data/sample",
        "data/single_prediction",
        "data/prepared/manifest.parquet",
        "models/model.keras",
        "models/model.onnx",
        "models/history.csv",
        "reports/evaluate/metrics.json",
        "reports/evaluate/intervals.json",
        "reports/evaluate/report.html",
        "models/champion/model.onnx",
        "models/champion/registered.json",
        "reports/predict/predictions.csv",
    ):
        assert (finished.root / path).exists(), path
    assert not any((finished.root / "data/sample").iterdir())  # nobody asked for it
    metrics = finished.json("reports/evaluate/metrics.json")
    assert {"test_accuracy", "test_log_loss", "test_macro_f1"} <= set(metrics)
    assert len(metrics) + len(finished.json("reports/prepare/metrics.json")) <= 12
    metrics = finished.json("reports/evaluate/evaluated.json")["metrics"]
    assert {"test_accuracy", "test_roc_auc", "test_recall_cats"} <= set(metrics)
    with (finished.root / "reports/predict/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "probability", "cats", "dogs", "problem"]
    assert len(rows) == 3
    assert all(abs(float(row["cats"]) + float(row["dogs"]) - 1) < 1e-5 for row in rows)


def test_without_a_network_the_report_shows_what_dvc_plots_would(finished, chromium):
    plots = yaml.safe_load((finished.root / "dvc.yaml").read_text())["plots"]
    network = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chromium.execute_cdp_cmd("Network.enable", {})
    chromium.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    chromium.get((finished.root / "reports" / "evaluate" / "report.html").as_uri())
    shown = chromium.execute_script(
        "return [...document.images].filter((one) => one.naturalWidth).map((one) => one.alt)"
    )
    table = "section[aria-labelledby=confusions] td.cell"
    shown += ["confusion"] * bool(chromium.find_elements("css selector", table))
    network |= {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    chromium.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    assert len(plots) == 6
    for name in (next(iter(plot)) for plot in plots):
        words = set(name.split()) - {"and"}
        assert any(words <= set(alt.split()) for alt in shown), name


def test_one_run_carries_parameters_curves_data_model_and_test_figures(finished):
    (run,) = finished.runs()
    client = finished.client()
    assert run.info.run_name == "cnn adamw pictures"
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer"] == "adamw"
    assert run.data.params["learning_rate"] == "0.002"
    assert run.data.params["validation_steps"] == "None"
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "val_accuracy")]
    assert steps == [1, 2]
    for name in ("accuracy", "learning_rate", "seconds", "pictures_per_second", "test_accuracy"):
        assert name in run.data.metrics, name
    tags = run.data.tags
    assert tags["git_dirty"] == "false"
    assert len(tags["git_commit"]) == 40
    assert tags["dvc_stage"] == "train"
    assert len(tags["data_digest"]) == 64
    inputs = {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs}
    assert set(inputs) == {"train", "validation", "test"}
    names = {a.path for a in client.list_artifacts(run.info.run_id, "figures")}
    drawn = ("curves", "confusion_matrix", "reliability", "roc", "precision_recall")
    assert names == {f"figures/{n}.png" for n in drawn}
    figures = finished.json("reports/evaluate/evaluated.json")["metrics"]
    for name, value in (figures | finished.json("reports/evaluate/intervals.json")).items():
        assert run.data.metrics[name] == value, name
    classes = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/class_names.json")
    assert classes == ["cats", "dogs"]
    report = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/evaluate/report.html")
    assert report == (finished.root / "reports" / "evaluate" / "report.html").read_text()
    assert run.info.run_id in report
    logged = {a.path for a in client.list_artifacts(run.info.run_id, "prepare")}
    assert logged == {f"prepare/{name}" for name in ("audit.html", "copies.csv", "problems.csv")}
    page = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/prepare/audit.html")
    assert page == (finished.root / "reports" / "prepare" / "audit.html").read_text()
    config = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.yaml")
    assert yaml.safe_load(config)["optimizer"]["weight_decay"] == 0.02


def test_the_registered_model_has_signature_example_requirements_and_class_names(finished):
    client = finished.client()
    version = client.get_model_version_by_alias("pawprint", "champion")
    assert client.get_model_version_by_alias("pawprint", "challenger").version == version.version
    assert version.tags["verdict"] == "promoted"
    mlflow.set_tracking_uri(f"sqlite:///{finished.root / 'mlflow.db'}")
    mlflow.set_registry_uri(mlflow.get_tracking_uri())  # not that of an earlier test
    info = mlflow.models.get_model_info("models:/pawprint@champion")
    assert info.signature.inputs is None  # bytes, text, images and arrays
    assert info.metadata["class_names"] == ["cats", "dogs"]
    assert info.saved_input_example_info is not None
    file = mlflow.artifacts.download_artifacts("models:/pawprint@champion/requirements.txt")
    assert all("==" in line for line in Path(file).read_text(encoding="utf-8").split())


def test_nothing_changed_means_no_stage_runs(project):
    assert project.repro() == []


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("depth", FROM_TRAIN),
        ("unused conf file", []),
        ("used conf file", FROM_TRAIN),
        ("seed", ["sample", "prepare", *FROM_TRAIN]),
        ("new picture", ["prepare", *FROM_TRAIN]),
        ("predict_images", ["sample", "predict"]),
        ("unused gate", []),
        ("used gate", ["register"]),
    ],
)
def test_a_change_runs_exactly_the_stages_that_read_it(project, change, stages):
    match change:
        case "depth":
            project.edit("params.yaml", "depth: 1", "depth: 2")
        case "unused conf file":
            project.edit("conf/optimizer/sgd.yaml", "momentum: 0.9", "momentum: 0.8")
        case "used conf file":
            project.edit("conf/optimizer/adamw.yaml", "beta_1: 0.9", "beta_1: 0.8")
        case "seed":
            project.edit("params.yaml", "seed: 0", "seed: 1")
        case "new picture":
            picture = next((project.root / "unseen").iterdir())
            shutil.copy(picture, project.root / "pictures" / "cats" / "new.png")
        case "unused gate":
            project.edit("conf/gate/not_worse.yaml", "margin: 0.01", "margin: 0.02")
        case "used gate":
            project.edit("conf/gate/better.yaml", "significance: 0.05", "significance: 0.01")
        case "predict_images":
            project.edit("params.yaml", "predict_images: unseen", "predict_images: pictures/cats")
    assert project.repro() == stages


def test_an_experiment_with_a_recipe_is_stale_where_what_the_recipe_names_is_another(project):
    recipe = "epochs: 1\noptimizer: sgd\nmodel.weights: weights.bin\n"  # which a cnn has to find
    project.write("conf/recipe/mine.yaml", recipe)
    project.write("weights.bin", "one")
    done = project.run("dvc", "exp", "run", "-S", "recipe=mine", "-S", "seed=0")
    told = "recipe=mine goes before params.yaml: epochs=1 (not 2), optimizer=sgd (not adamw); "
    assert done.stdout.count(told) == (done.stdout + done.stderr).count("goes before") == 1
    run = project.runs()[-1]
    assert run.info.run_name == "recipe=mine"
    assert [run.data.params[key] for key in ("recipe", "epochs", "optimizer")] == [
        "mine",
        "1",
        "sgd",
    ]
    assert "recipe: mine " in (project.root / "params.yaml").read_text()
    assert project.stale() == []

    def stale(file, text):
        before = (project.root / file).read_text()
        project.write(file, text)
        found = project.stale()
        project.write(file, before)
        return found

    assert stale("conf/recipe/mine.yaml", recipe.replace("epochs: 1", "epochs: 3")) == ["train"]
    larger = f"# of larger pictures\n{recipe}image_size: 24\n"
    assert stale("conf/recipe/mine.yaml", larger) == ["prepare", "train"]
    assert stale("conf/recipe/mine.yaml", f"# with a comment\n{recipe}") == []
    assert stale("conf/recipe/fast.yaml", "epochs: 9\n") == []
    assert stale("conf/optimizer/sgd.yaml", "name: sgd\nlearning_rate: 0.1\n") == ["train"]
    assert stale("conf/optimizer/adamw.yaml", "name: adamw\nlearning_rate: 0.1\n") == []
    assert stale("weights.bin", "two") == ["train"]
    project.edit("params.yaml", "recipe: mine", "recipe: none")
    assert project.stale() == ["train"]


def test_the_same_seed_gives_the_same_history_and_manifest_to_the_last_digit(project):
    files = ("models/history.csv", "data/prepared/manifest.parquet")
    before = [(project.root / file).read_bytes() for file in files]
    project.stage("prepare")
    project.stage("train")
    assert [(project.root / file).read_bytes() for file in files] == before


def test_metrics_and_plots_render_with_dvc(finished):
    assert "test_accuracy" in finished.run("dvc", "metrics", "show").stdout
    finished.run("dvc", "plots", "show", "-o", "plots")
    page = (finished.root / "plots" / "index.html").read_text()
    for title in (
        "accuracy of training and validation",
        "confusion matrix",
        "ROC",
        "precision and recall of the test split",
        "reliability with the temperature",
    ):
        assert title in page


def test_an_experiment_in_a_temporary_workspace_is_recorded_in_the_projects_own_store(project):
    project.write("conf/recipe/mine.yaml", "epochs: 1\noptimizer: sgd\n")
    project.commit("a recipe")
    project.run("dvc", "exp", "run", "--temp", "-S", "recipe=mine", "-S", "depth=2")
    run = project.runs()[-1]
    assert run.info.run_name == "recipe=mine depth=2"
    assert run.data.params["epochs"] == "1"
    assert run.data.tags["dvc_exp_name"]
    assert "test_accuracy" in run.data.metrics
    assert ".dvc" not in run.info.artifact_uri
    assert Path(run.info.artifact_uri.removeprefix("file://"), "figures/curves.png").exists()


def test_a_project_may_stand_in_a_folder_of_any_name(fresh, tmp_path):
    project = fresh.copy(tmp_path / "100% sure? #1, %41")
    project.run("dvc", "repro")
    assert [path.name for path in tmp_path.iterdir()] == [project.root.name]
    done = project.run("python", "-m", "pawprint", "predict", "unseen")
    assert done.stdout.count("\n") == 3
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        assert database.execute("SELECT version FROM model_versions").fetchall() == [(1,)]


def test_a_conf_value_can_be_set_for_one_experiment(project):
    project.commit("an experiment")
    settings = ("-S", "conf/optimizer/adamw.yaml:learning_rate=0.01", "-S", "depth=2")
    project.run("dvc", "exp", "run", *settings)
    run = project.runs()[-1]
    assert run.data.params["learning_rate"] == "0.01"
    assert run.info.run_name == "depth=2 optimizer.learning_rate=0.01"
    # With one experiment, the command of the README shows a table that a terminal has room for.
    (command,) = re.findall(
        r"^(dvc exp show .*)$", (project_root() / "README.md").read_text(), re.M
    )
    lines = project.run(*shlex.split(command), COLUMNS="1000").stdout.splitlines()
    assert {"test_accuracy", "depth"} <= set(lines[1].split())
    assert f"{run.data.metrics['test_accuracy']:.5g}" in lines[-2]
    assert max(map(len, lines)) <= 160
    assert "# null: the optimizer's own" in (project.root / "params.yaml").read_text()


def test_an_unknown_choice_or_key_in_params_is_one_sentence_and_loses_nothing(project):
    before = (project.root / "models/model.onnx").read_bytes()
    project.edit("params.yaml", "depth: 1", "dpeth: 1")
    done = project.stage("train", code=1)
    assert done.stderr.strip() == (
        "error: params.yaml: there is no key 'dpeth'; did you mean 'depth'?"
    )
    assert (project.root / "models/model.onnx").read_bytes() == before
