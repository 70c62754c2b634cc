"""The runs in MLflow: one MLflow experiment, a parent run for each chain, a child run for each stage, and "results".

A run is found by its tags. MLflow accepts two runs with the same tags, so two writers can create one run twice. A
writer that has created a run looks for it again and finds both: it keeps the run with the smallest id and deletes the
others. So all writers keep the same run, although they do not communicate.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

from service.runner.shipping.model_folder import model_folder

# How many metrics and parameters the server accepts in one batch (https://mlflow.org/docs/latest/rest-api.html#request-limits).
MAX_METRICS = 1_000
MAX_PARAMS = 100
# The tag whose text MLflow's pages show above an experiment.
NOTE_TAG = "mlflow.note.content"
# The name of the run with the files of the comparison.
RESULTS_RUN = "results"
# The longest value of a parameter or a tag, in characters.
MAX_VALUE = 6_000


class MlflowRuns:
    """The runs of one experiment. A call that is repeated changes nothing."""

    def __init__(self, url: str, experiment_id: str, name: str, description: str = "") -> None:
        """Make a client of a server.

        Args:
            url: The URL of the MLflow server.
            experiment_id: The id of this service's experiment, stored in the tag `tet.experiment`.
            name: The name of this service's experiment.
            description: The author's description, which MLflow shows above the runs.
        """
        self.client = MlflowClient(tracking_uri=url)
        self._experiment = experiment_id
        # Names are unique in MLflow but not in this service, so the id is added.
        self._name = f"{name} ({experiment_id})"
        self._tags = {"tet.experiment": experiment_id} | ({NOTE_TAG: description} if description else {})
        self._mlflow_experiment: str | None = None
        self._runs: dict[tuple[str, int | None], str] = {}
        self._results_run: str | None = None

    def mlflow_experiment(self) -> str:
        """Return the id of the MLflow experiment. Make the experiment if there is none."""
        if self._mlflow_experiment is None:
            self._mlflow_experiment = self._find_experiment() or self._create_experiment()
        return self._mlflow_experiment

    def _find_experiment(self) -> str | None:
        experiment = self.client.get_experiment_by_name(self._name)
        return None if experiment is None else str(experiment.experiment_id)

    def _create_experiment(self) -> str:
        try:
            return self.client.create_experiment(self._name, tags=self._tags)
        except MlflowException:
            experiment = self._find_experiment()  # another driver was faster
            if experiment is None:
                raise
            return experiment

    def experiment_created_ms(self) -> int:
        """Return when the MLflow experiment was made, in ms since 1970."""
        return int(self.client.get_experiment(self.mlflow_experiment()).creation_time or 0)

    def experiment_tag(self, key: str) -> str:
        """Return the value of a tag of the MLflow experiment; empty if it has no such tag."""
        return str(self.client.get_experiment(self.mlflow_experiment()).tags.get(key, ""))

    def set_experiment_tag(self, key: str, value: str) -> None:
        """Set a tag of the MLflow experiment."""
        self.client.set_experiment_tag(self.mlflow_experiment(), key, value)

    def results_run(self) -> str:
        """Return the id of the run "results". Make the run if there is none.

        It has the tag `tet.stage`, as all runs have that are not those of a chain.
        """
        if self._results_run is None:
            query = f"tags.`tet.stage` = '{RESULTS_RUN}'"
            if not (runs := self._search(query)):
                tags = {"tet.experiment": self._experiment, "tet.stage": RESULTS_RUN}
                self.client.create_run(self.mlflow_experiment(), run_name=RESULTS_RUN, tags=tags)
                runs = self._search(query)
            self._results_run = self._keep_one(runs)
        return self._results_run

    def run(self, chain: str, stage: int | None, *, name: str, tags: Mapping[str, str], start_ms: int) -> str:
        """Return the id of the run of a chain (`stage` is None) or of a stage. Make the run if there is none."""
        key = (chain, stage)
        if key not in self._runs:
            runs = self._find_runs(chain, stage)
            if not runs:
                all_tags = {"tet.experiment": self._experiment, "tet.chain": chain, **tags}
                self.client.create_run(self.mlflow_experiment(), start_time=start_ms, run_name=name, tags=all_tags)
                runs = self._find_runs(chain, stage)
            self._runs[key] = self._keep_one(runs)
        return self._runs[key]

    def forget(self, chain: str | None = None) -> None:
        """Look up the experiment and the runs of a chain (None: of all chains) again when they are next needed.

        Another writer may have removed them.
        """
        self._mlflow_experiment, self._results_run = None, None
        self._runs = {key: run for key, run in self._runs.items() if chain is not None and key[0] != chain}

    def _find_runs(self, chain: str, stage: int | None) -> list[Run]:
        query = f"tags.`tet.chain` = '{chain}'"
        if stage is not None:
            query += f" and tags.`tet.stage` = '{stage}'"
        return [run for run in self._search(query) if stage is not None or "tet.stage" not in run.data.tags]

    def _search(self, query: str) -> list[Run]:
        found = self.client.search_runs([self.mlflow_experiment()], query, ViewType.ACTIVE_ONLY, max_results=1_000)
        return list(found)

    def _keep_one(self, runs: list[Run]) -> str:
        first, *others = sorted(str(run.info.run_id) for run in runs)
        for run_id in others:
            self.client.delete_run(run_id)
        return first

    def log_metrics(self, run_id: str, points: list[Metric]) -> None:
        """Log points. MLflow drops a point that it already has with the same time."""
        for i in range(0, len(points), MAX_METRICS):
            self.client.log_batch(run_id, metrics=points[i : i + MAX_METRICS])

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log parameters. MLflow refuses to change the value of a parameter that it already has.

        A spec's resources may change. A resource that is also a parameter may change only before the first run is made.
        """
        items = [Param(key, value[:MAX_VALUE]) for key, value in params.items()]
        for i in range(0, len(items), MAX_PARAMS):
            self.client.log_batch(run_id, params=items[i : i + MAX_PARAMS])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.client.log_batch(run_id, tags=[RunTag(key, value[:MAX_VALUE]) for key, value in tags.items()])

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Upload a file under its own name."""
        self.client.log_artifact(run_id, str(file), folder)

    def log_content(self, run_id: str, name: str, content: bytes) -> None:
        """Upload bytes as a file; its name may be a path with a folder."""
        path = PurePosixPath(name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path.name
            file.write_bytes(content)
            self.log_file(run_id, file, str(path.parent) if path.parent.name else None)

    def log_dataset(self, run_id: str, *, name: str, digest: str, source: str) -> None:
        """Log the data set that a run was trained and tested on, as an MLflow dataset."""
        # MLflow keeps at most 36 characters of a digest; the first 36 of a SHA-256 identify it well enough.
        dataset = Dataset(name=name, digest=digest[:36], source_type="tet", source=source)
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training, test")])]
        self.client.log_inputs(run_id, datasets=inputs)

    def log_model(
        self, run_id: str, *, name: str, stage_key: str, params: Mapping[str, str], file: Path, step: int
    ) -> None:
        """Log a trained network as an MLflow logged model that `mlflow.pyfunc.load_model` loads, once for each stage.

        Args:
            run_id: The stage's run.
            name: The model's name.
            stage_key: The tag by which the model is found again.
            params: The model's parameters.
            file: The network's checkpoint.
            step: The epoch after which the network was saved.
        """
        experiment = self.mlflow_experiment()
        query = f"tags.`tet.stage_key` = '{stage_key}'"
        models = sorted(m.model_id for m in self.client.search_logged_models([experiment], filter_string=query))
        if not models:
            tags = {"tet.stage_key": stage_key, "tet.experiment": self._experiment}
            texts = {key: value[:500] for key, value in params.items()}
            self.client.create_logged_model(
                experiment, name=name, source_run_id=run_id, tags=tags, params=texts, model_type="spiking-network"
            )
            models = sorted(m.model_id for m in self.client.search_logged_models([experiment], filter_string=query))
        model, *others = models
        for other in others:
            self.client.delete_logged_model(other)
        with model_folder(file, run_id=run_id, model_id=model) as folder:
            self.client.log_model_artifacts(model, str(folder))
        self.client.finalize_logged_model(model, "READY")
        self._log_output(run_id, model, step)

    def _log_output(self, run_id: str, model: str, step: int) -> None:
        """Make a model an output of its run. MLflow refuses to repeat this call, so look first."""
        if self._has_output(run_id, model):
            return
        try:
            self.client.log_outputs(run_id, [LoggedModelOutput(model, step)])
        except MlflowException:
            if not self._has_output(run_id, model):  # otherwise another driver was faster
                raise

    def _has_output(self, run_id: str, model: str) -> bool:
        outputs = self.client.get_run(run_id).outputs
        return outputs is not None and any(output.model_id == model for output in outputs.model_outputs)

    def reopen(self, run_id: str) -> None:
        """Open a run again if a stopped driver has closed it."""
        if self.client.get_run(run_id).info.status != "RUNNING":
            self.client.update_run(run_id, "RUNNING")

    def end(self, run_id: str, status: str, end_ms: int) -> None:
        """Close a run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run_id, status, end_ms)

    def close(self, run_id: str) -> None:
        """Close a run as finished, now, unless it is closed already."""
        if self.client.get_run(run_id).info.status == "RUNNING":
            self.client.set_terminated(run_id, "FINISHED")
