"""One MLflow run. What cannot be recorded never stops the work: it is kept, retried and told."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.system.errors import UserError, first_line
from pawprint.system.files import replacing_file, sha256_of
from pawprint.system.machine import undisturbed
from pawprint.tracking.location import check_answers
from pawprint.tracking.names import (
    DATA_TAG,
    ERROR_TAG,
    KIND_TAG,
    MODEL_ID_TAG,
    NETWORK_TAG,
    mlflow_name,
)

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from PIL import Image

log = logging.getLogger(__name__)

LONGEST_VALUE = 6000  # of a parameter


class Run:
    """A run in a store: parameters, metrics, artifacts and the model.

    Metrics that a dead server did not take are kept and sent with the next ones; what is still
    unsent at ``finish`` is named in the log.
    """

    def __init__(self, client: MlflowClient, uri: str, run_id: str) -> None:
        self.id = run_id
        self._client = client
        self._uri = uri
        self._waiting: list[Any] = []
        self._missed: list[str] = []
        self._answered = True
        self._known: set[tuple[str, int]] = set()
        self._last: dict[str, tuple[int, float]] | None = None  # step and value, once asked for

    def reopen(self) -> None:
        """Go on in a run that ended early: what is recorded of a step is not recorded again.

        A model of it is removed; it will be recorded at the end.
        """
        self._client.update_run(self.id, status="RUNNING")
        here = self._client.get_run(self.id)
        for tag in here.data.tags.keys() & {ERROR_TAG, MODEL_ID_TAG, NETWORK_TAG}:
            self._client.delete_tag(self.id, tag)
        for key in here.data.metrics:
            self._known |= {(key, m.step) for m in self._client.get_metric_history(self.id, key)}
        experiments, of_this = [here.info.experiment_id], f"source_run_id = '{self.id}'"
        for model in self._client.search_logged_models(experiments, of_this):
            self._client.delete_logged_model(model.model_id)

    def go_on(self, name: str) -> None:
        """Go on in a run that ended, under this name; what is recorded again counts instead."""
        self._client.update_run(self.id, status="RUNNING", name=name)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Record flat parameters; one that the run has with another value gets a prefix."""
        from mlflow.entities import Param

        there = self._client.get_run(self.id).data.params
        params = []
        for key, value in parameters.items():
            text = str(value)[:LONGEST_VALUE]
            if key not in there:
                params.append(Param(key, text))
            elif there[key] != text:  # given to `mlflow run -P` as, say, null
                params.append(Param(f"resolved.{key}", text))
        for start in range(0, len(params), 100):  # MLflow takes a hundred at once
            self._client.log_batch(self.id, params=params[start : start + 100])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        from mlflow.entities import RunTag

        texts = [RunTag(key, str(value)) for key, value in tags.items()]
        self._attempt("tags", lambda: self._client.log_batch(self.id, tags=texts))

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags as they are in the store."""
        return self._client.get_run(self.id).data.tags

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric as it is in the store."""
        return self._client.get_run(self.id).data.metrics

    @property
    def has_results(self) -> bool:
        """Whether something of ours, or of others, was recorded in it: figures or where from."""
        here = self._client.get_run(self.id).data
        return bool(here.metrics or {DATA_TAG, KIND_TAG} & here.tags.keys())

    def log_metrics(
        self, metrics: Mapping[str, float], step: int = 0, model_id: str | None = None
    ) -> None:
        """Record metrics at ``step``, also of the model with ``model_id`` where one is given.

        What the run has with this step and value is not recorded again. They are kept and sent
        later where the server does not answer.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {mlflow_name(key): float(value) for key, value in metrics.items()}
        self._waiting += [
            Metric(key, value, now, step, model_id=model_id)
            for key, value in named.items()
            if (key, step) not in self._known
        ]
        self._attempt(None, self._send)

    def log_dataset(self, name: str, source: str, digest: str, context: str) -> None:
        """Record that this run read the data with this digest, as ``context`` (training, …)."""
        from mlflow.data.dataset_source_registry import resolve_dataset_source
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        def record() -> None:
            # MLflow keeps 36 characters of a digest; the whole one is in the manifest's summary.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # two of its classes fit a folder
                origin = resolve_dataset_source(source)
            data = MetaDataset(  # type: ignore[abstract]  # MLflow itself makes instances of it
                origin, name=name, digest=digest[:36]
            )
            tags = [InputTag("mlflow.data.context", context)]
            dataset = data._to_mlflow_entity()  # noqa: SLF001 - as MLflow's own log_input does
            self._client.log_inputs(self.id, datasets=[DatasetInput(dataset, tags)])

        self._attempt(f"dataset {name}", record)

    def log_text(self, text: str, name: str) -> None:
        """Record ``text`` as the artifact ``name``."""
        self._attempt(name, lambda: self._client.log_text(self.id, text, name))

    def log_file(self, path: Path, folder: str | None = None) -> bool:
        """Record a file as an artifact, in ``folder`` of the run's; whether the store took it."""

        def record() -> bool:
            self._client.log_artifact(self.id, str(path), folder)
            return True

        return bool(self._attempt(path.name, record))

    def fetch(self, name: str, path: Path) -> None:
        """Copy the artifact ``name`` to ``path``.

        Raises:
            UserError: the run does not have it any more.
        """
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as folder:
            try:
                found = Path(self._client.download_artifacts(self.id, name, folder))
            except (MlflowException, OSError) as error:
                raise UserError(
                    f"{name} of the run {self.id} is gone ({error}); train again"
                ) from None
            with replacing_file(path) as temporary:
                shutil.copyfile(found, temporary)

    def log_files(self, source: Path, folder: str) -> None:
        """Record the files in ``source``, hidden ones not, in ``folder``; PNGs in `figures`."""
        for path in sorted(source.glob("[!.]*")):
            self.log_file(path, "figures" if path.suffix == ".png" else folder)

    def log_image(self, image: Image.Image, name: str) -> None:
        """Record a Pillow image as the artifact ``name``."""
        self._attempt(name, lambda: self._client.log_image(self.id, image, artifact_file=name))

    def log_figure(self, figure: Any, name: str) -> None:
        """Record a matplotlib figure as the artifact ``name``."""
        self._attempt(name, lambda: self._client.log_figure(self.id, figure, name))

    def log_model(self, onnx_file: Path, class_names: list[str], example: np.ndarray) -> str | None:
        """Record the exported network as an MLflow model with signature and input example.

        Args:
            onnx_file: the exported network.
            class_names: classes, in the order of the probabilities' columns.
            example: a picture, uint8 of shape (size, size, 3).

        Returns:
            The model's id, or None where the server did not take it.
        """
        from mlflow.entities import RunTag
        from mlflow.models import Model

        from pawprint.tracking import logged_model

        def record() -> str:
            here = self._client.get_run(self.id)
            # Left to itself, MLflow would put the model into its default experiment.
            model = self._client.create_logged_model(
                here.info.experiment_id, "model", self.id, params=here.data.params
            )
            Model.log(
                artifact_path=None,
                name="model",
                flavor=logged_model,
                run_id=self.id,
                model_id=model.model_id,
                metadata={"class_names": class_names},
                network=onnx_file,
                class_names=class_names,
                example=example,
                validate_serving_input=False,  # it would import the code from a temporary folder
            )
            # Together: a run whose model is told is known by its network too.
            tags = {MODEL_ID_TAG: model.model_id, NETWORK_TAG: sha256_of(onnx_file)}
            self._client.log_batch(self.id, tags=[RunTag(*tag) for tag in tags.items()])
            return model.model_id

        return self._attempt("the model", record)

    def finish(self, status: str = "FINISHED") -> None:
        """Close the run with ``status`` (FINISHED, FAILED, KILLED); tell what was not recorded."""
        self._attempt(f"the status {status}", lambda: self._client.set_terminated(self.id, status))
        self.tell_missed()

    def tell_missed(self) -> None:
        """Send what is still waiting; say in the log what could not be recorded."""
        if self._waiting:
            self._attempt(None, self._send)
        if self._waiting:
            steps = sorted({metric.step for metric in self._waiting})
            self._missed.insert(0, f"metrics of steps {steps[0]} to {steps[-1]}")
        if self._missed:
            log.error(
                "not recorded in %s: %s; they are in the stage's own files",
                self._uri,
                ", ".join(dict.fromkeys(self._missed)),
            )

    def _send(self) -> None:
        if self._last is None:
            there = self._client.get_run(self.id).data.to_proto().metrics
            self._last = {metric.key: (metric.step, metric.value) for metric in there}
        new = [m for m in self._waiting if self._last.get(m.key) != (m.step, m.value)]
        for start in range(0, len(new), 500):
            self._client.log_batch(self.id, metrics=new[start : start + 500])
        self._last |= {metric.key: (metric.step, metric.value) for metric in new}
        self._waiting.clear()

    def _attempt(self, what: str | None, action: Callable[[], Any]) -> Any:
        """Do ``action``; a store that does not take it is told once, and ``what`` is remembered."""
        import requests
        from mlflow.exceptions import MlflowException

        try:
            if not self._answered:
                check_answers(self._uri)  # quicker than MLflow's retries
            with undisturbed():  # else shown as a failure of the store
                result = action()
        except (UserError, MlflowException, requests.RequestException, OSError) as error:
            if self._answered:
                reason = first_line(error)
                log.warning("%s does not record any more (%s); going on", self._uri, reason)
            self._answered = False
            if what:
                self._missed.append(what)
            return None
        if not self._answered:
            log.info("%s records again", self._uri)
        self._answered = True
        return result
