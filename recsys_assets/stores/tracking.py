"""MLflow: what each model's training said, and which registered version is the champion.

One experiment and one registered model, both called "recsys". What people add by hand (runs, versions, aliases) is left
alone: a run or a version is ours by the tags that we give it. Artifacts are files below one folder; the database is
one that MLflow shares with nobody. mlflow takes three seconds to import, so it is imported on first use.
"""

import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psycopg

from recsys_assets.errors import NotFoundError, RefusedError, StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

EXPERIMENT = "recsys"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its page opens on runs, not on chat traces
REGISTERED = "recsys"
MODEL_FOLDER = "model"
Alias = Literal["champion", "challenger", "reference"]

_CONNECT_SECONDS = 5
_SCHEMA_LOCK = 0x7265637379736D6C  # "recsysml": any number that nobody else locks in this database
_TAGS = ("data_day", "dagster_run_id", "settings_hash")  # of every run and version of ours
_PARAMS_AT_ONCE = 100  # MLflow refuses larger batches
_METRICS_AT_ONCE = 1000


def metric_name(metric: str, k: int, *groups: str) -> str:
    """A figure's name in MLflow, whose pages draw names with the same groups together.

    >>> metric_name("ndcg", 10, "test", "new"), metric_name("auc", 0, "test", "new")  # 0: of the whole ranking
    ('test/new/ndcg_at_10', 'test/new/auc')
    """
    return "/".join([*groups, f"{metric}_at_{k}" if k else metric])


@dataclass(frozen=True)
class ModelVersion:
    """One registered version: ``folder`` is where its arrays stand on this machine."""

    version: int
    run_id: str
    data_day: date
    folder: Path


class Run:
    """One training that is being recorded. A context manager: it ends FINISHED, FAILED on an exception, else KILLED."""

    def __init__(self, client: "MlflowClient", run: "MlflowRun", older: list[str]) -> None:
        self._client = client
        self._older = older
        self.run_id: str = run.info.run_id
        self.url_path = f"/#/experiments/{run.info.experiment_id}/runs/{self.run_id}"

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Figures by name; see `metric_name`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        with _answering():
            for start in range(0, len(rows), _METRICS_AT_ONCE):
                self._client.log_batch(self.run_id, metrics=rows[start : start + _METRICS_AT_ONCE])

    def log_file(self, path: Path, artifact_folder: str) -> None:
        """Copies a file into a folder of the run's artifacts."""
        with _answering():
            self._client.log_artifact(self.run_id, str(path), artifact_folder)

    def log_figure(self, name: str, png: bytes) -> None:
        """A picture, as ``figures/<name>.png``."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png)
            self.log_file(path, "figures")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            with _answering():
                self._client.set_terminated(self.run_id, "FINISHED")
                for older in self._older:
                    self._client.set_tag(older, "superseded_by", self.run_id)
            return
        status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        # The error on its way out says more than a database that went away meanwhile.
        with contextlib.suppress(StoreError), _answering():
            self._client.set_terminated(self.run_id, status)


class Tracking:
    """Runs and registered models in the MLflow database at ``uri`` (postgresql://…), files below ``artifacts``.

    Every method raises `StoreError` where the database does not answer.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._opened: MlflowClient | None = None

    def __repr__(self) -> str:
        return f"Tracking(artifacts={str(self._artifacts)!r})"  # the URI holds a password

    @property
    def _client(self) -> "MlflowClient":
        """Probes first: mlflow itself retries an unreachable database for about 100 seconds.

        The probe's connection holds a lock while mlflow makes or migrates its tables: two processes that do so at
        once break each other.
        """
        if self._opened is None:
            at = urlsplit(self._uri)
            where = f"{at.hostname}:{at.port or 5432}{at.path}"
            try:
                with psycopg.connect(self._uri, connect_timeout=_CONNECT_SECONDS) as lock:
                    lock.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                    client = _mlflow_client(self._uri)
                    with _answering():
                        client.search_experiments(max_results=1)
            except psycopg.OperationalError as error:
                raise StoreError(
                    f"MLflow's database at {where} does not answer ({str(error).strip()}). Start it with `recsys up`, "
                    "or correct RECSYS_MLFLOW_POSTGRES_URL."
                ) from error
            self._opened = client
        return self._opened

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self._client
        with _answering():
            if (found := client.get_experiment_by_name(EXPERIMENT)) is None:
                self._artifacts.mkdir(parents=True, exist_ok=True)
                try:
                    return str(client.create_experiment(EXPERIMENT, self._artifacts.as_uri(), _KIND))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = client.get_experiment_by_name(EXPERIMENT)  # another step made it meanwhile
            assert found is not None
            if found.lifecycle_stage == "deleted":
                raise RefusedError(
                    f"somebody has deleted the MLflow experiment {EXPERIMENT}: bring it back with `mlflow experiments "
                    f"restore --experiment-id {found.experiment_id}`."
                )
            return str(found.experiment_id)

    def run(
        self,
        name: str,
        *,
        day: date,
        dagster_run_id: str,
        settings_hash: str,
        parameters: Mapping[str, str | float | int],
        parent: Run | None = None,
    ) -> Run:
        """Starts the record of model ``name`` trained on the data of ``day``; MLflow shows it below ``parent``.

        A day that is trained again supersedes: once the new run is FINISHED, the older ones of that model and day are
        tagged with it (not deleted, since a registered version may stand on them). One that is still RUNNING was
        killed too hard to say so, and is marked KILLED.
        """
        from mlflow.entities import Param

        client, experiment = self._client, self._experiment()
        tags = {
            "model": name,
            "data_day": day.isoformat(),
            "dagster_run_id": dagster_run_id,
            "settings_hash": settings_hash,
        } | ({"mlflow.parentRunId": parent.run_id} if parent else {})
        with _answering():
            found = self._runs(experiment, f"tags.model = '{name}' AND tags.data_day = '{day}'")
            older = [run for run in found if _ours(run.data.tags)]
            for run in older:
                if run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "KILLED")
            started = client.create_run(experiment, run_name=f"{name} {day}", tags=tags)
            params = [Param(key, str(value)) for key, value in sorted(parameters.items())]
            for start in range(0, len(params), _PARAMS_AT_ONCE):
                client.log_batch(started.info.run_id, params=params[start : start + _PARAMS_AT_ONCE])
        return Run(client, started, [run.info.run_id for run in older if "superseded_by" not in run.data.tags])

    def _runs(self, experiment: str, condition: str) -> "list[MlflowRun]":
        found: list[MlflowRun] = []
        token: str | None = None
        while token is None or token:
            page = self._client.search_runs([experiment], condition, page_token=token)
            found += page
            token = page.token or ""
        return found

    def register(self, run_id: str, folder: Path, name: str = REGISTERED, tags: Mapping[str, str] | None = None) -> int:
        """Copies ``folder`` into the run's artifacts and registers it; returns the version's number.

        The folder holds item-side arrays and parameters only, never people (promise 4): it is not looked into here.
        The version gets the run's data day, Dagster run and settings hash as tags, and ``tags``.

        Raises:
            NotFoundError: the folder is empty or not there.
        """
        from mlflow.exceptions import MlflowException

        if not folder.is_dir() or not any(folder.iterdir()):
            raise NotFoundError(f"nothing to register: {folder} is empty or not there. Train the model first.")
        client = self._client
        with _answering():
            run = client.get_run(run_id)
            client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
            try:
                client.create_registered_model(name, description="Models of the shop's daily lists, item side only.")
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            kept = {key: run.data.tags[key] for key in _TAGS}
            version = client.create_model_version(
                name,
                source=f"{run.info.artifact_uri}/{MODEL_FOLDER}",
                run_id=run_id,
                tags=kept | dict(tags or {}),
                description=f"Trained on the data up to {kept['data_day']}.",
            )
        return int(version.version)

    def set_alias(self, version: int, alias: Alias) -> None:
        """Points an alias at a version; the version that had it loses it.

        Raises:
            NotFoundError: there is no such version.
        """
        client = self._client
        with _answering(f"model version {version}"):
            client.set_registered_model_alias(REGISTERED, alias, str(version))

    def champion(self) -> ModelVersion | None:
        """The version that is live, or None before the first one."""
        return self.aliased("champion")

    def aliased(self, alias: Alias) -> ModelVersion | None:
        """The version an alias points at, if any.

        Raises:
            RefusedError: somebody has given it to a version that is not ours.
        """
        client = self._client
        try:
            with _answering(alias):
                found = client.get_model_version_by_alias(REGISTERED, alias)
        except NotFoundError:
            return None
        if (version := _version(found)) is None:
            raise RefusedError(
                f"the alias {alias} of MLflow's model {REGISTERED} is on version {found.version}, which was not made "
                "here: give it another alias in MLflow's UI. The next day that goes live sets ours again."
            )
        return version

    def fetch(self, version: int) -> Path:
        """Folder of a version's arrays.

        Raises:
            NotFoundError: there is no such version, it is not ours, or its folder is gone.
        """
        client = self._client
        with _answering(f"model version {version}"):
            found = _version(client.get_model_version(REGISTERED, str(version)))
        if found is None:
            raise NotFoundError(f"model version {version} of MLflow's model {REGISTERED} was not made here.")
        if not found.folder.is_dir():
            raise NotFoundError(f"model version {version}: {found.folder} is gone. Materialize its day again.")
        return found.folder

    def drop_arrays(self, keep_days: int) -> int:
        """Removes the arrays of old versions, and nothing else of them; returns the bytes that are free now.

        Those of the newest ``keep_days`` data days stay (0: of all), and those that an alias, or a version that
        somebody has made by hand of the same run, names.
        """
        client = self._client
        with _answering():
            versions = list(client.search_model_versions(max_results=10_000))
            registered = client.search_registered_models(f"name = '{REGISTERED}'")
        found = [ours for one in versions if one.name == REGISTERED and (ours := _version(one)) is not None]
        numbers = {str(one.version) for one in found}
        others = [one for one in versions if one.name != REGISTERED or str(one.version) not in numbers]
        theirs = {one.run_id for one in others}
        named = {int(version) for model in registered for version in model.aliases.values()}
        days = sorted({one.data_day for one in found})[-keep_days:] if keep_days else []
        freed = 0
        for one in found:
            # Never outside of our own folder, whatever the database says.
            inside = one.folder.is_relative_to(self._artifacts) and one.folder.is_dir()
            kept = one.data_day in days or one.version in named or one.run_id in theirs
            if keep_days and inside and not kept:
                freed += sum(file.stat().st_size for file in one.folder.rglob("*") if file.is_file())
                shutil.rmtree(one.folder)
        return freed


def _ours(tags: Mapping[str, str]) -> bool:
    return all(tags.get(name) for name in _TAGS)


def _version(found: "MlflowVersion") -> ModelVersion | None:
    """None of a version that `register` has not made."""
    if not (found.run_id and found.source and _ours(found.tags)):
        return None
    try:
        data_day = date.fromisoformat(found.tags["data_day"])
    except ValueError:  # somebody has changed the tag
        return None
    return ModelVersion(
        version=int(found.version),
        run_id=found.run_id,
        data_day=data_day,
        folder=Path(url2pathname(urlsplit(str(found.source)).path)),
    )


def _mlflow_client(uri: str) -> "MlflowClient":
    # mlflow reads these when it is imported and has no other switch for them.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside mlflow are not ours to mend
        from mlflow import MlflowClient
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # one line per migration otherwise
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def _answering(what: str = "the run") -> Iterator[None]:
    """Turns mlflow's own errors into ours: gone is `NotFoundError`, no answer is `StoreError`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError(f"MLflow does not know {what}: {error.message}") from error
        if error.error_code == "TEMPORARILY_UNAVAILABLE":
            raise StoreError(f"MLflow's database went away: {error.message}. Try again.") from error
        raise
