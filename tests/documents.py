"""What README.md, CONTRIBUTING.md and docs/ tell a reader to type, and what proves it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
LANGUAGES = ("bash", "console", "python", "yaml", "text")

# What `tests/pipeline/test_documented_commands.py` runs; all others are named below.
RUN = re.compile(
    r"""cd\ flowers
      | pawprint\ init\ .*
      | pawprint\ predict\ (?!https:|.*--sure-precision).*
      | find\ .*\|\ pawprint\ predict\ .*
      | pawprint\ champion(\ --json)?
      | pawprint\ (card|drift)\ ?.*
      | eval\ .*
      | printf\ .*
      | dvc\ (metrics|remote|push|pull|artifacts)\ ?.*
      | git\ .*""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Proof:
    """A test that does what commands of this form do.

    Attributes:
        commands: a regular expression of whole commands, or of what a block of Python calls.
        test: the test, as pytest names it, below tests/.
        words: of the commands, which stand in the test's module.
    """

    commands: str
    test: str
    words: tuple[str, ...]


_REPRO = "pipeline/test_repro.py::"
_FORMS = "pipeline/test_same_everywhere.py::test_the_server_s_forms_and_json"
_SERVED = "pipeline/test_mlflow_ways.py::test_mlflow_models_serve_answers_pictures_in_all_its_forms"
_TEAM = "pipeline/test_team.py::test_with_a_shared_server_a_changed_parameter_meets_its_champion"
PROOFS = [
    Proof(
        r"dvc repro",
        "pipeline/test_wheel.py::test_the_pipeline_gives_what_it_gives_in_the_repository",
        ("repro",),
    ),
    Proof(
        r"dvc exp run -S recipe=\w+",
        _REPRO + "test_an_experiment_with_a_recipe_is_stale_where_what_the_recipe_names_is_another",
        ("-S", "recipe="),
    ),
    Proof(
        r"dvc exp run -S .*", _REPRO + "test_a_conf_value_can_be_set_for_one_experiment", ("-S",)
    ),
    Proof(
        r"dvc exp run --queue .*",
        _QUEUE := "pipeline/test_queue.py::"
        "test_queued_experiments_run_at_once_into_one_store_and_are_shown",
        ("--queue", "-S"),
    ),
    Proof(r"dvc queue start -j 2", _QUEUE, ("queue", "start", "-j")),
    Proof(r"dvc exp show .*", _QUEUE, ("dvc exp show",)),
    Proof(r"dvc plots show", _REPRO + "test_metrics_and_plots_render_with_dvc", ("plots", "show")),
    Proof(
        r"mlflow run \. -e train .*",
        "pipeline/test_mlflow_run.py::test_train_uses_the_run_that_mlflow_opened_and_takes_its_parameters",
        ("mlflow", "run", "-e", "train", "--env-manager", "--experiment-name", "-P"),
    ),
    Proof(
        r"(mlflow run \. -e article|pawprint pipeline) .*",
        "pipeline/test_mlflow_run.py::test_the_pipeline_takes_parameters_and_ends_in_one_evaluated_run",
        (),
    ),
    Proof(
        r"pawprint train optimizer=adam .*",
        "stages/test_train.py::test_a_run_is_called_by_what_differs_from_the_committed_experiment",
        ("optimizer=adam",),
    ),
    Proof(
        r"pawprint (train|prepare) recipe=.*",
        "training/test_trainer.py::test_a_recipe_trains_a_float32_network_for_whole_pictures",
        ("recipe=",),
    ),
    Proof(
        r"pawprint models",
        "commands/test_models_command.py::test_the_listing_tells_which_weights_are_at_hand",
        ("models",),
    ),
    Proof(
        r"pawprint models backbone\.keras",
        "commands/test_models_command.py::test_a_file_is_told_of",
        ("models",),
    ),
    Proof(
        r"pawprint train --augment-preview .*",
        "training/test_preview.py::test_there_is_a_row_for_each_of_six_pictures_and_the_first_tile_is_as_it_is",
        (),
    ),
    Proof(
        r"pawprint train -m optimizer=.*",
        "pipeline/test_sweep.py::test_a_sweep_is_one_parent_a_child_per_trial_a_table_and_the_winners_command",
        ("train", "-m", "optimizer=adam,sgd"),
    ),
    Proof(
        r"pawprint train -m hydra/launcher=joblib .*",
        "pipeline/test_sweep_workers.py::test_trials_run_elsewhere_and_are_recorded_whole",
        ("hydra/launcher=joblib",),
    ),
    Proof(
        r"pawprint train -m hydra/sweeper=optuna .*",
        "pipeline/test_sweep_search.py::test_a_search_suggests_prunes_and_goes_on_where_it_ended",
        ("hydra/sweeper=optuna", "hydra.sweeper.n_trials="),
    ),
    Proof(
        r"pawprint compare( --last 3)?",
        "pipeline/test_comparing_runs.py::"
        "test_of_the_last_n_as_many_are_compared_as_there_are_and_that_is_told",
        ("compare",),
    ),
    Proof(
        r"pawprint compare (champion challenger|v1 v2)",
        "pipeline/test_comparing_runs.py::test_two_runs_are_told_with_what_differs_and_what_changed_sides",
        ("compare",),
    ),
    Proof(
        r"pawprint suspects",
        "pipeline/test_suspect_labels.py::test_flipped_labels_stand_first_whatever_their_split",
        ("suspects",),
    ),
    Proof(
        r"pawprint champion --rollback",
        "pipeline/test_register.py::"
        "test_rollbacks_go_back_one_by_one_and_who_was_rolled_back_stays_out",
        ("champion", "--rollback"),
    ),
    Proof(
        r"pawprint champion --promote v3 --reason .*",
        "pipeline/test_register.py::test_a_challenger_is_made_champion_on_purpose_with_a_reason",
        ("champion", "--promote", "--reason"),
    ),
    Proof(
        r"pawprint predict https://host/cat.jpg",
        "commands/test_predict.py::"
        "test_a_url_is_answered_under_its_name_without_what_may_be_secret",
        ("/cat.jpg",),
    ),
    Proof(
        r"pawprint predict .* --sure-precision .*",
        "pipeline/test_predicting.py::"
        "test_the_command_tells_in_a_sentence_what_precision_cannot_be_had",
        ("predict", "--sure-precision"),
    ),
    Proof(
        r"pawprint litert",
        "pipeline/test_litert.py::test_both_files_answer_as_the_project_s_network_does",
        ("litert",),
    ),
    Proof(r"pawprint serve", _FORMS, ("serve",)),
    Proof(r"curl -F .* http://127\.0\.0\.1:8000/predict", _FORMS, ("files", "predict")),
    Proof(r"curl -H .* http://127\.0\.0\.1:8000/predict", _FORMS, ("json", "predict")),
    Proof(r"mlflow models serve .*", _SERVED, ("models", "serve", "--env-manager", "local")),
    Proof(r"curl .*/invocations", _SERVED, ("Content-Type", "application/json", "invocations")),
    Proof(
        r"mlflow models predict .*",
        "pipeline/test_mlflow_ways.py::test_mlflow_models_predict_takes_a_table_of_paths_and_text",
        ("models", "predict", "-i", "-t"),
    ),
    Proof(
        r"export MLFLOW_TRACKING_URI=sqlite:///mlflow\.db",
        "pipeline/test_mlflow_ways.py::test_a_model_answers_where_pawprint_is_not_installed",
        ("MLFLOW_TRACKING_URI=", "sqlite:///", "mlflow.db"),
    ),
    Proof(
        r"mlflow (server .*|ui)",
        "pipeline/test_server.py::test_everything_is_recorded_on_a_server",
        ("mlflow",),
    ),
    Proof(r"export MLFLOW_TRACKING_URI=http.*", _TEAM, ("MLFLOW_TRACKING_URI",)),
    Proof(r"pawprint register", _TEAM, ("register",)),
    Proof(
        r"docker (build|run) .*",
        "server/test_docker_image.py::test_the_image_s_command_answers_with_what_the_image_has",
        (),
    ),
    Proof(
        r"pip wheel .*",
        "pipeline/test_wheel.py::test_the_wheel_has_all_that_comes_with_pawprint",
        ("wheel", "--no-deps"),
    ),
    # Their packages and targets are looked up.
    Proof(
        r"(pip|uv tool|pipx) install .*",
        "test_docs.py::test_what_is_installed_is_there",
        ("install",),
    ),
    Proof(r"make \w+", "test_docs.py::test_the_makefile_has_each_target", ("make",)),
]

# The same of Python's blocks.
RUN_PYTHON = re.compile(r"pawprint\.(load|init)\(")
PYTHON_PROOFS = [
    Proof(
        r"run = pawprint\.train\(",
        "pipeline/test_notebook.py::test_the_notebook_runs_and_shows_curves_pictures_and_a_map",
        ("pawprint.train(",),
    ),
    Proof(
        r"mlflow\.pyfunc\.spark_udf\(",
        "pipeline/test_same_everywhere.py::test_spark_on_a_column_of_bytes",
        ("mlflow.pyfunc.spark_udf(",),
    ),
]


def blocks(document: Path, *languages: str) -> list[str]:
    """The fenced blocks of a document in these languages."""
    found = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", document.read_text(encoding="utf-8"))
    return [body for language, body in found if language in languages]


def commands(document: Path) -> list[str]:
    """Each command that a document tells to type, without its comment."""
    lines = [line for body in blocks(document, "bash") for line in body.splitlines()]
    cells = re.findall(r"(?m)(?<=\| )`((?:pawprint|dvc) .*?)`(?= \|)", document.read_text("utf-8"))
    lines += cells
    for body in blocks(document, "console"):
        lines += [line[2:] for line in body.splitlines() if line.startswith("$ ")]
    stripped = [re.sub(r"(^|\s+)# .*", "", line).strip() for line in lines]
    return [line for line in stripped if line]


def proof_of(command: str) -> Proof | None:
    """What proves a command that is not run here."""
    return next((proof for proof in PROOFS if re.fullmatch(proof.commands, command)), None)
