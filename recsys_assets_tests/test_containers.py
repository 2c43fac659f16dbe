"""Dockerfile and docker-compose.yml without a container engine: what they say, and every command of them run here."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fnmatch import fnmatch
from functools import partial
from importlib.metadata import distribution, packages_distributions

import httpx
import psycopg
import pytest
import redis
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recsys_assets.local.processes import Child, free_port, session_members, wait_until
from recsys_assets.local.supervisor import DATABASES, QUIET
from recsys_assets.settings import CHECKOUT, VARIABLES, load_settings
from recsys_assets.stores.postgres import Postgres, newest_schema, schema_version
from recsys_assets_tests.composed import (
    BIN,
    COMPOSE_FILE,
    NAMED,
    OURS,
    PASSWORDS,
    SECONDS,
    SERVICES,
    TARGETS,
    VARIABLE,
    Stack,
)

# What the files say.


def test_compose_follows_its_specification() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_stands_in_the_example_without_a_value() -> None:
    example = NAMED.findall((CHECKOUT / ".env.example").read_text())
    assert {value for _, value in example} == {""}
    names = [name for name, _ in example]
    assert len(names) == len(set(names))
    asked = {found["name"] for found in VARIABLE.finditer(COMPOSE_FILE.read_text()) if found["name"]}
    passed = {n for name in OURS for n, value in SERVICES[name]["environment"].items() if value is None}
    assert set(names) == asked | passed


def test_passwords_have_no_default() -> None:
    text = COMPOSE_FILE.read_text()
    for name in (*PASSWORDS, "SHOP_FIRST_DAY", "SHOP_TIME_ZONE", "SHOP_CURRENCY", "SHOP_FILES"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {variable.name for variable in VARIABLES}
    said = [*(SERVICES[name]["environment"] for name in OURS), *(target.environment for target in TARGETS.values())]
    for name in {name for names in said for name in names if name.startswith("RECSYS_")}:
        assert name in known


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_the_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert re.search(r":\d+\.\d+", service["image"]), "pinned"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["healthcheck"].get("test") or name == "setup"
    if name in OURS:
        assert TARGETS[service["build"]["target"]].said("USER") == ["recsys"]
    else:
        assert service["user"] not in ("root", "0")
    for volume in service["volumes"]:
        source = volume.removeprefix("${").split(":")[0]
        assert source in ("home", "postgres", "redis", "SHOP_FILES")


def test_only_what_publishes_and_reads_has_the_shops_files_and_the_whole_environment() -> None:
    api = SERVICES["api"]
    assert api["volumes"] == ["home:/var/lib/recsys:ro"]
    told = {name for name, value in api["environment"].items() if value is not None}
    assert told == {"RECSYS_SECRET", "RECSYS_POSTGRES_URL", "RECSYS_REDIS_URL"}
    passed = set(api["environment"]) - told
    assert all(name.startswith(("RECSYS_API_", "RECSYS_CORS_", "RECSYS_LOG_", "RECSYS_REQUEST_", "RECSYS_TRUSTED_"))
               for name in passed)  # fmt: skip
    webserver, daemon = SERVICES["dagster-webserver"], SERVICES["dagster-daemon"]
    for same in ("environment", "volumes", "image"):  # both load the code; the daemon's container runs the runs
        assert webserver[same] == daemon[same]


def test_what_the_images_do_by_themselves_is_what_compose_tells_them() -> None:
    for target, service in (("api", "api"), ("platform", "dagster-webserver")):
        assert TARGETS[target].command == SERVICES[service]["command"]
        assert TARGETS[target].health == SERVICES[service]["healthcheck"]["test"]
        (port,) = TARGETS[target].said("EXPOSE")
        assert SERVICES[service]["ports"][0].endswith(f":{port}")
    assert QUIET.items() <= TARGETS["platform"].environment.items()


def test_whatever_is_copied_is_there_and_goes_to_the_builder() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    copied = set()
    for target in TARGETS.values():
        for line in target.said("COPY"):
            if not line.startswith("--from="):
                copied |= set(line.split()[:-1])
    assert copied == set(sent)
    for name in copied:
        assert (CHECKOUT / name).exists(), name
    assert not any(fnmatch(".env", name) or fnmatch(".git", name) for name in sent)


def test_no_secret_can_get_into_a_layer() -> None:
    text = (CHECKOUT / "Dockerfile").read_text()
    assert not re.search(r"^(ARG|ADD)\b", text, re.MULTILINE)
    assert not re.search(r"SECRET|PASSWORD|TOKEN", text)


def base_dependencies() -> set[str]:
    """Names of the distributions that the image of the API installs."""
    wanted, found = [("recsys-assets", "")], set()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in distribution(name).requires or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted += [(canonicalize_name(need.name), more) for more in ("", *need.extras)]
    return {name for name, _ in found}


def test_the_image_of_the_api_holds_neither_dagster_nor_mlflow_nor_models() -> None:
    (install,) = TARGETS["build-api"].said("RUN uv")
    assert "--extra" not in install
    assert "--require-hashes --constraint requirements.lock" in install
    assert {"uvicorn", "fastapi", "redis", "psycopg-binary"} <= base_dependencies()
    assert not base_dependencies() & {"dagster", "mlflow", "implicit", "pyarrow", "pandas", "numpy", "scikit-learn"}


# Put before everything else in a process: what is not a base dependency is not there.
ONLY_THE_BASE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


# What they run.


@pytest.fixture(scope="module")
def stack(pg_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What `docker compose up` starts, in its order."""
    folder = tmp_path_factory.mktemp("containers")
    for name in ("home", "files", "redis", "bare"):
        (folder / name).mkdir()
    base = base_dependencies() | {"recsys-assets"}
    absent = [
        module for module, owners in packages_distributions().items() if not base & set(map(canonicalize_name, owners))
    ]
    (folder / "bare" / "sitecustomize.py").write_text(f"ABSENT = {set(absent)!r}\n{ONLY_THE_BASE}")
    postgres = pg_url.rpartition("@")[2].partition("/")[0]
    ports = {name: str(free_port()) for name in ("redis", "mlflow", "dagster-webserver", "api", "pages")}
    swaps = {
        "postgres:5432": postgres,
        "redis:6379": f"127.0.0.1:{ports['redis']}",
        "--dir /data": f"--dir {folder / 'redis'} --bind 127.0.0.1 --port {ports['redis']}",
        "/tmp/valkey.conf": str(folder / "valkey.conf"),
        "/tmp/matplotlib": str(folder / "matplotlib"),
        "SHOP_FORMAT=/data": f"SHOP_FORMAT={folder / 'files'}",
        "file:///var/lib/recsys": (folder / "home").as_uri(),
        "/var/lib/recsys": str(folder / "home"),
        "/app": str(CHECKOUT),
        "0.0.0.0": "127.0.0.1",
        "5000": ports["mlflow"],
        "3000": ports["dagster-webserver"],
        "8000": ports["api"],
        "8080": ports["pages"],
    }
    told = {
        "SHOP_FIRST_DAY": "2024-03-01", "SHOP_TIME_ZONE": "Europe/Berlin", "SHOP_CURRENCY": "EUR",
        "DAGSTER_PORT": "13000", "MLFLOW_PORT": "15000", "RECSYS_MLFLOW_URL": "https://mlflow.shop.example",
    }  # fmt: skip
    made = Stack(folder, swaps, {**PASSWORDS, **told, "SHOP_FILES": str(folder / "files")})
    with ExitStack() as exits, psycopg.connect(pg_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE recsys SUPERUSER LOGIN PASSWORD '{PASSWORDS['POSTGRES_PASSWORD']}'")
        exits.callback(admin.execute, "DROP ROLE recsys")
        for database in DATABASES:
            exits.callback(admin.execute, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        sessions = []

        def start(name: str) -> Child:
            child = made.start(name)
            sessions.append(child.pid)
            exits.callback(child.stop)
            return child

        cache = start("redis")
        with redis.Redis.from_url(made.environment("api")["RECSYS_REDIS_URL"]) as client:
            assert wait_until(lambda: _pings(client), SECONDS), cache.tail()
        done = made.run("setup")
        assert done.returncode == 0, done.stdout + done.stderr
        begun = {name: start(name) for name in ("dagster-webserver", "mlflow", "api", "pages")}
        for name, child in begun.items():
            assert wait_until(partial(made.ended_or_answers, name, child), SECONDS), child.tail()
            assert child.exit_code() is None, child.tail()
            if name == "dagster-webserver":
                start("dagster-daemon")
        yield made
        for pid in sessions:  # all at once; each is waited for below
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        exits.close()
        assert [pid for session in sessions for pid in session_members(session)] == []


def _pings(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.parametrize("name", [name for name in OURS if name != "setup"])
def test_every_service_of_ours_comes_up_and_says_so(stack: Stack, name: str) -> None:
    log = stack.folder / f"{name}.log"
    assert wait_until(lambda: stack.healthy(name), SECONDS, every=3.0), log.read_text()[-3000:]


def test_a_service_that_is_down_is_not_healthy(stack: Stack) -> None:
    away = Stack(stack.folder, stack.swaps | {"8000": str(free_port())}, stack.values)
    assert not away.healthy("api")


def test_the_api_and_the_pages_answer_with_the_base_dependencies_alone(stack: Stack) -> None:
    command = [sys.executable, "-c", "import polars, dagster"]
    bare = subprocess.run(command, env=stack.environment("api"), capture_output=True, text=True, check=False)
    assert "No module named 'dagster'" in bare.stderr
    answer = httpx.get(f"http://127.0.0.1:{stack.swaps['8000']}/api/recommendations")
    assert (answer.status_code, answer.json()["detail"]) == (503, "There is no generation yet.")
    assert httpx.get(f"http://127.0.0.1:{stack.swaps['8080']}/").status_code == 200
    for name in ("api", "pages"):
        assert "Traceback" not in (stack.folder / f"{name}.log").read_text()


@pytest.mark.parametrize(("port", "own", "refused"), [("3000", "13000", 421), ("5000", "15000", 403)])
def test_the_uis_obey_their_own_pages_alone(stack: Stack, port: str, own: str, refused: int) -> None:
    url = f"http://127.0.0.1:{stack.swaps[port]}"
    for host in (f"127.0.0.1:{own}", f"localhost:{own}"):
        assert httpx.get(url, headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200
    for host in ("evil.example", f"evil.example:{own}", "127.0.0.1:9"):
        assert httpx.get(url, headers={"Host": host}).status_code == refused
    headers = {"Host": f"127.0.0.1:{own}", "Origin": "https://evil.example"}
    path = {"3000": "/graphql", "5000": "/api/2.0/mlflow/experiments/search"}[port]
    assert httpx.post(url + path, json={}, headers=headers).status_code == 403


def test_mlflow_is_opened_behind_a_login_too(stack: Stack) -> None:
    headers = {"Host": "mlflow.shop.example", "Origin": "https://mlflow.shop.example"}
    assert httpx.get(f"http://127.0.0.1:{stack.swaps['5000']}", headers=headers).status_code == 200


def test_setup_makes_the_home_and_the_tables_once(stack: Stack) -> None:
    home = stack.home / "home.toml"
    assert 'time_zone = "Europe/Berlin"' in home.read_text()
    assert not (stack.home / "secret").exists(), "the environment gives it"
    with Postgres(stack.environment("api")["RECSYS_POSTGRES_URL"]).connect() as connection:
        assert schema_version(connection) == newest_schema()
    before = home.stat().st_mtime_ns
    changed = Stack(stack.folder, stack.swaps, stack.values | {"SHOP_CURRENCY": "USD"})
    assert changed.run("setup").returncode == 0
    assert home.stat().st_mtime_ns == before


def test_the_cache_keeps_what_it_was_told_and_asks_for_the_password(stack: Stack) -> None:
    url = stack.environment("api")["RECSYS_REDIS_URL"]
    with redis.Redis.from_url(url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    with (
        redis.Redis.from_url(url.replace(PASSWORDS["REDIS_PASSWORD"], "another")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_nothing_is_written_beside_the_program(stack: Stack) -> None:
    """The root file system is read-only: the sources stand there, the home is elsewhere."""
    for name in ("history", "storage", "schedules", "mlruns", "mlartifacts", ".nux", ".telemetry", ".logs_queue"):
        assert not (CHECKOUT / name).exists(), name
    assert (stack.home / "dagster" / "dagster.yaml").read_bytes() == (CHECKOUT / "dagster.yaml").read_bytes()


def test_the_settings_of_each_service_load(stack: Stack) -> None:
    for name in OURS:
        settings = load_settings(stack.environment(name))
        assert settings.home == stack.home
        assert name == "pages" or (settings.postgres_url and settings.redis_url)
