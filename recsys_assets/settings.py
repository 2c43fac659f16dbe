"""Every environment variable, and the home's own file ``home.toml``. Nothing else here reads the environment."""

import difflib
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recsys_assets.errors import HomeError, SettingsError
from recsys_assets.identity import KeyRing
from recsys_assets.refusals import refusals
from recsys_assets.scratch import write_private
from recsys_assets.setting_values import (
    addresses,
    folder,
    lake,
    networks,
    one_of,
    origins,
    plain_connection,
    private,
    switch,
    url,
    whole,
)
from recsys_assets.tuning import Tuning

LAYOUT_VERSION = 1
CHECKOUT = Path(__file__).resolve().parents[1]  # sql/, templates/, dagster.yaml and workspace.yaml stand there


@dataclass(frozen=True)
class Variable:
    """One environment variable: the attribute of `Settings` it fills, how it is read, and what it is for."""

    name: str
    attribute: str
    parse: Callable[[str], Any]
    default: str
    what: str


_PG, _WEB, _LEVEL = url("postgresql"), url("http", "https"), one_of("debug", "info", "warning", "error")
_LINES = one_of("on", "errors", "off")
VARIABLES = (
    Variable("RECSYS_HOME", "home", folder, "~/.recsys", "folder that holds all state of one shop"),
    Variable("RECSYS_SECRET", "secret", private, "", "secret of the keys (16 bytes or more); default: the home's own"),
    Variable("RECSYS_POSTGRES_URL", "postgres_url", _PG, "", "published tables; default: the home's own server"),
    Variable("RECSYS_DAGSTER_POSTGRES_URL", "dagster_postgres_url", _PG, "", "Dagster's runs and events"),
    Variable("RECSYS_MLFLOW_POSTGRES_URL", "mlflow_postgres_url", _PG, "", "MLflow's tracking and registry"),
    Variable("RECSYS_REDIS_URL", "redis_url", url("redis", "rediss"), "", "cache; default: the home's own Valkey"),
    Variable("RECSYS_LAKE_URL", "lake_url", lake, "", "the lake: a folder or s3://bucket/prefix; default: in the home"),
    Variable("RECSYS_API_PORT", "api_port", whole(0, 65535), "0", "port of the API; 0 = one that the home keeps"),
    Variable("RECSYS_DAGSTER_PORT", "dagster_port", whole(0, 65535), "0", "port of the Dagster UI; 0 = as above"),
    Variable("RECSYS_MLFLOW_PORT", "mlflow_port", whole(0, 65535), "0", "port of the MLflow UI; 0 = as above"),
    Variable("RECSYS_PAGES_PORT", "pages_port", whole(0, 65535), "0", "port of the data and dbt docs; 0 = as above"),
    Variable("RECSYS_THREADS", "threads", whole(1, 1024), "2", "threads of model fits; results do not depend on it"),
    Variable("RECSYS_ALERT_WEBHOOK", "alert_webhook", _WEB, "", "a failed run is posted here as JSON"),
    Variable("RECSYS_ALERT_EMAIL", "alert_email", addresses, "", "a failed run is mailed to these addresses"),
    Variable("RECSYS_SMTP_URL", "smtp_url", url("smtp", "smtps"), "", "smtp://user:password@host:port for that mail"),
    Variable("RECSYS_DAGSTER_URL", "dagster_url", _WEB, "", "where people open Dagster's UI, behind a login of yours"),
    Variable("RECSYS_MLFLOW_URL", "mlflow_url", _WEB, "", "where people open MLflow's UI, behind a login of yours"),
    Variable("RECSYS_LOG_FORMAT", "log_format", one_of("text", "json"), "text", "form of the API's log lines"),
    Variable("RECSYS_LOG_LEVEL", "log_level", _LEVEL, "info", "least level of the API's log lines"),
    Variable("RECSYS_REQUEST_LOG", "request_log", _LINES, "on", "a line per request: on, off, errors (slow ones too)"),
    Variable("RECSYS_LOG_MEGABYTES", "log_megabytes", whole(1, 100_000), "10", "a longer log is set aside as .1"),
    Variable("RECSYS_API_READS_PER_SECOND", "api_reads", whole(0, 1_000_000), "500", "of one client; 0 = no limit"),
    Variable("RECSYS_API_WRITES_PER_SECOND", "api_writes", whole(0, 1_000_000), "20", "of one client; 0 = no limit"),
    Variable("RECSYS_API_DRAIN_SECONDS", "api_drain", whole(0, 600), "0", "between a SIGTERM and the end of answering"),
    Variable("RECSYS_CORS_ORIGINS", "cors_origins", origins, "", "sites whose pages may read the API, or *"),
    Variable("RECSYS_TRUSTED_PROXIES", "trusted_proxies", networks, "", "addresses whose X-Forwarded-For counts"),
    Variable("RECSYS_REQUIRE_TLS", "require_tls", switch, "off", "refuse servers elsewhere without verified TLS"),
    Variable("RECSYS_LLM_URL", "llm_url", _WEB, "", "an OpenAI-compatible endpoint that writes copy; default: none"),
    Variable("RECSYS_LLM_MODEL", "llm_model", str, "", "the model that it is asked for"),
    Variable("RECSYS_LLM_KEY", "llm_key", str, "", "its key, where it wants one"),
)
# Attributes that are URLs of databases and of the cache.
SERVERS = ("postgres_url", "dagster_postgres_url", "mlflow_postgres_url", "redis_url")


@dataclass(frozen=True)
class Settings:
    """What the environment says. Empty URLs mean: the home's own server."""

    home: Path
    secret: str
    postgres_url: str
    dagster_postgres_url: str
    mlflow_postgres_url: str
    redis_url: str
    lake_url: str
    api_port: int
    dagster_port: int
    mlflow_port: int
    pages_port: int
    threads: int
    alert_webhook: str
    alert_email: str
    smtp_url: str
    dagster_url: str
    mlflow_url: str
    log_format: str
    log_level: str
    request_log: str
    log_megabytes: int
    api_reads: int
    api_writes: int
    api_drain: int
    cors_origins: str
    trusted_proxies: str
    require_tls: bool
    llm_url: str
    llm_model: str
    llm_key: str

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r})"  # URLs and the secret stay out of logs

    @property
    def embedded_postgres(self) -> bool:
        """Whether any database is the home's own."""
        return not (self.postgres_url and self.dagster_postgres_url and self.mlflow_postgres_url)

    @property
    def embedded_redis(self) -> bool:
        """Whether the cache is the home's own."""
        return not self.redis_url


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: naming every wrong or unknown ``RECSYS_`` variable at once.
    """
    env = os.environ if environment is None else environment
    known = {variable.name for variable in VARIABLES}
    problems = []
    for name in sorted(env):
        if name.startswith("RECSYS_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        raw = env.get(variable.name, "") or variable.default
        try:
            values[variable.attribute] = variable.parse(raw) if raw else ""
        except (ValueError, RuntimeError) as error:
            problems.append(f"{variable.name} {error}")
    if values.get("alert_email") and not values.get("smtp_url"):
        problems.append("RECSYS_ALERT_EMAIL needs RECSYS_SMTP_URL")
    if values.get("llm_url") and not values.get("llm_model"):
        problems.append("RECSYS_LLM_URL needs RECSYS_LLM_MODEL")
    if values.get("require_tls"):
        for variable in VARIABLES:
            if variable.attribute in SERVERS and (why := plain_connection(values.get(variable.attribute, ""))):
                problems.append(f"{variable.name} {why}, and RECSYS_REQUIRE_TLS is on")
    if problems:
        raise SettingsError("settings refused:\n  " + "\n  ".join(problems))
    return Settings(**values)


class Source(BaseModel):
    """Where the nightly run looks for files: an importer's name, a path or glob, a mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: str = Field(description="a format of `recsys ingest`")
    path: str = Field(description="a file, a folder or a glob; of `sql`, the URL of the database")
    map: str | None = Field(None, description="the mapping file of the formats `mapped` and `sql`")


class HomeConfig(BaseModel):
    """``home.toml``: what a day is for this shop, which money it counts in, where its files are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    layout: int = Field(LAYOUT_VERSION, description="version of the home's layout; `recsys migrate` raises it")
    first_day: date = Field(description="first day of the shop's events; no day before it can be computed")
    last_day: date | None = Field(None, description="last day of an archive that has ended; a running shop has none")
    time_zone: str = Field(description="what a day, an hour and a weekday are, for example Europe/Berlin")
    currency: str = Field(description="the currency that everything is counted in, for example EUR")
    secret_fingerprint: str = Field(description="tells another secret from the home's own; never edit it")
    shop_name: str = Field("our shop", description="what e-mails call the shop")
    shop_url: str | None = Field(None, description="the shop's first page, as e-mails link it")
    opt_out_url: str | None = Field(None, description="page of the shop where a person opts out, as e-mails link it")
    sources: tuple[Source, ...] = Field((), description="where each night looks for files: one `[[sources]]` for each")
    tuning: Tuning = Field(Tuning(), description="the knobs: `[tuning]` and its sections")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error
        return value

    @field_validator("currency")
    @classmethod
    def _iso_code(cls, value: str) -> str:
        if len(value) != 3 or not value.isascii() or not value.isupper():
            raise ValueError(f"{value!r} is not a currency code such as EUR")
        return value


@dataclass(frozen=True)
class Home:
    """A shop's home: its folder, its file and its keys."""

    path: Path
    config: HomeConfig
    keys: KeyRing
    lake_url: str  # parquet tables and models: a folder, or s3://bucket/prefix

    @property
    def lake(self) -> Path:
        """The lake's folder.

        Raises:
            HomeError: the lake is in a bucket.
        """
        if self.lake_url.startswith("s3://"):
            raise HomeError(f"the lake is {self.lake_url}, not a folder of this machine.")
        return Path(self.lake_url)

    @property
    def scratched(self) -> tuple[Path, ...]:
        """Folders in which files are made before they are whole."""
        return (self.path,) if self.lake_url.startswith("s3://") else (self.path, self.lake)

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.path / "dagster"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.path / "mlflow"

    @property
    def exports(self) -> Path:
        """E-mails and other files made for people."""
        return self.path / "exports"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' pages."""
        return self.path / "data_docs"

    @property
    def dbt_docs(self) -> Path:
        """The marts' documentation."""
        return self.path / "dbt_docs"

    @property
    def logs(self) -> Path:
        """Log files of the servers."""
        return self.path / "logs"


def init_home(
    settings: Settings,
    *,
    first_day: date,
    time_zone: str,
    currency: str,
    sources: tuple[Source, ...] = (),
    last_day: date | None = None,
    shop_name: str = "our shop",
) -> Home:
    """Makes the home, and a secret for it unless ``RECSYS_SECRET`` gives one; an existing one is opened unchanged.

    Raises:
        HomeError: it exists with another first day, time zone or currency.
        SettingsError: a value is not usable.
    """
    path = settings.home
    if (path / "home.toml").exists():
        home = open_home(settings)
        now, asked = home.config, {"first_day": first_day, "time_zone": time_zone, "currency": currency}
        differ = [f"{k} is {getattr(now, k)}, not {v}" for k, v in asked.items() if getattr(now, k) != v]
        if differ:
            raise HomeError(
                f"{path} exists and " + "; ".join(differ) + ". Edit its home.toml or choose another folder."
            )
        return home
    make_private(path)
    if settings.secret:
        secret = settings.secret
    elif (path / "secret").exists():  # an init that was killed before home.toml
        secret = _text(path / "secret").strip()
    else:
        secret = secrets.token_hex(32)
        write_private(path / "secret", secret + "\n")
    keys = KeyRing(secret.encode())
    try:
        config = HomeConfig(
            first_day=first_day,
            last_day=last_day,
            time_zone=time_zone,
            currency=currency,
            secret_fingerprint=keys.fingerprint(),
            shop_name=shop_name,
            sources=sources,
        )
    except ValidationError as error:
        raise SettingsError("init refused:\n" + refusals(HomeConfig, error)) from error
    write_private(path / "home.toml", _home_toml(config))
    return Home(path, config, keys, settings.lake_url or str(path / "lake"))


def make_private(path: Path) -> None:
    """Makes a home's folder; one that was there stops being open to others.

    Raises:
        SettingsError: it cannot be made, or belongs to somebody else.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise SettingsError(f"{path} cannot become a home: {error.strerror}. Check RECSYS_HOME and rights.") from None


def open_home(settings: Settings) -> Home:
    """The home that the settings point at.

    Raises:
        HomeError: there is none, it is of another layout, its file is wrong, or the secret is another one.
    """
    file = settings.home / "home.toml"
    if (layout := home_layout(settings.home)) > LAYOUT_VERSION:
        raise newer_layout(file, layout)
    if layout < LAYOUT_VERSION:
        raise HomeError(f"{file} has layout {layout}, and this program {LAYOUT_VERSION}: run `recsys migrate`.")
    config = read_config(_text(file), str(file))
    secret_file = settings.home / "secret"
    secret = settings.secret or (_text(secret_file).strip() if secret_file.exists() else "")
    if not secret:
        raise HomeError(f"no secret: {secret_file} is gone and RECSYS_SECRET is not set. Without it no id has a key.")
    keys = KeyRing(secret.encode())
    if keys.fingerprint() != config.secret_fingerprint:
        raise HomeError(
            f"the secret is not the one {settings.home} was made with (fingerprint {keys.fingerprint()}, expected "
            f"{config.secret_fingerprint}). Set RECSYS_SECRET back, or start a new home."
        )
    return Home(settings.home, config, keys, settings.lake_url or str(settings.home / "lake"))


def read_config(text: str, name: str) -> HomeConfig:
    """What a ``home.toml`` says; ``name`` is what messages call it.

    Raises:
        HomeError: it is not TOML, or a value is wrong.
    """
    try:
        return HomeConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise HomeError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        raise HomeError(f"{name} is refused:\n{refusals(HomeConfig, error)}") from error


def home_layout(home: Path) -> int:
    """Version of a home's layout. Read by itself: a newer file may well hold what we would refuse.

    Raises:
        HomeError: there is no home, or its file cannot be read.
    """
    file = home / "home.toml"
    try:
        there = file.exists()
    except OSError as error:
        raise HomeError(f"{file} cannot be read: {error.strerror}. Check RECSYS_HOME and rights.") from None
    if not there:
        raise HomeError(f"{home} is not a home yet: run `recsys init`, or point RECSYS_HOME at one.")
    try:
        found = tomllib.loads(_text(file)).get("layout", 1)
    except tomllib.TOMLDecodeError as error:
        raise HomeError(f"{file} is not TOML: {error}") from error
    if not isinstance(found, int):
        raise HomeError(f"{file}: layout = {found!r} is not a whole number.")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise HomeError(f"{file} is damaged (it is not UTF-8): restore it from a backup.") from None
    except OSError as error:
        raise HomeError(f"{file} cannot be read: {error.strerror}. Check RECSYS_HOME and the file's rights.") from None


def newer_layout(file: Path, layout: int, known: int = LAYOUT_VERSION) -> HomeError:
    """Why a home of a newer layout is not touched."""
    return HomeError(
        f"{file} has layout {layout}; this program knows layouts up to {known}. Use the version of the program that "
        "made it, or a later one: there is no way back."
    )


def _toml_string(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _home_toml(config: HomeConfig) -> str:
    lines = [
        "# What a day is for this shop, which money it counts in, where its files are.",
        f"layout = {config.layout}",
        f"first_day = {config.first_day.isoformat()}",
        *([f"last_day = {config.last_day.isoformat()}"] if config.last_day else []),
        f"time_zone = {_toml_string(config.time_zone)}",
        f"currency = {_toml_string(config.currency)}",
        f"secret_fingerprint = {_toml_string(config.secret_fingerprint)}",
        f"shop_name = {_toml_string(config.shop_name)}",
    ]
    for source in config.sources:
        lines += ["", *_source_toml(source)]
    return "\n".join([*lines, "", "# [tuning] and its sections override the knobs of recsys_assets/tuning.py", ""])


def _source_toml(source: Source) -> list[str]:
    values = {"format": source.format, "path": source.path, "map": source.map}
    return ["[[sources]]", *(f"{name} = {_toml_string(value)}" for name, value in values.items() if value)]


def keep_source(home: Home, source: Source) -> None:
    """Adds a source at the end of ``home.toml``, and leaves what somebody has written there as it is.

    Raises:
        HomeError: the file has its sources in one line, where none can be added.
    """
    file = home.path / "home.toml"
    text = "\n".join([_text(file).rstrip("\n"), "", *_source_toml(source), ""])
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HomeError(
            f"{file} says `sources = …` in one line, where none can be added ({error}). Write each as [[sources]]."
        ) from None
    read_config(text, str(file))
    write_private(file, text)
