"""Clients generated from the document: their languages' type checkers agree, and they work on the real API."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.asked import PEOPLE, PRODUCTS, filled, settings
from recsys_assets_tests.serving.running import api

HERE = Path(__file__).parent
NODE, MODULES = shutil.which("node"), HERE / "node_modules"
TYPESCRIPT = ("openapi-typescript/bin/cli.js", "typescript/bin/tsc")
ARGUMENTS = (PEOPLE[0], "a")


@pytest.fixture
def stores(home: Any, database: Callable[[], str], redis_url: str) -> Stores:
    return Stores(home, database(), redis_url)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """As `recsys openapi` prints it where there is neither a home nor a server."""
    said = done(sys.executable, "-m", "recsys_assets.cli", "openapi", RECSYS_HOME=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    file = tmp_path / "openapi.json"
    file.write_text(said)
    return file


def done(*command: str | Path, folder: Path | None = None, **environment: str) -> str:
    """What a program that ends well prints."""
    ended = subprocess.run(
        [str(word) for word in command], cwd=folder, env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-5_000:] + ended.stderr[-5_000:]
    return ended.stdout


def test_the_document_is_that_of_the_running_api(stores: Stores, document: Path) -> None:
    with api(stores.settings) as client:
        assert json.loads(document.read_text()) == client.get("/openapi.json").json()


def put_to_work(stores: Stores, *command: str | Path, path: Path | None = None) -> None:
    """Runs one of the two programs, and holds what it prints against what was published."""
    token = filled(stores)
    with api(settings(stores)) as client:
        assert client.get("/api/v1/health").status_code == 200
        said = json.loads(done(*command, str(client.base_url), token, *ARGUMENTS, PYTHONPATH=str(path or "")))
    recommendation_id = said.pop("recommendation_id")
    assert len(recommendation_id) == 32
    assert said.pop("page") == [product for product in PRODUCTS if product != "a"]
    assert said == {
        "generation": 1,
        "near": ["b"],
        "orders": 1,
        "listed": [product for product in PRODUCTS if product != "a"],
        "segment": None,
        "many": [PEOPLE[0], "nobody"],
        "refused": [400, "limit"],
        "unknown": [401, "No token"],
    }


def test_python(stores: Stores, document: Path, tmp_path: Path) -> None:
    package = tmp_path / "made" / "recommendations_client"
    package.parent.mkdir()
    done(
        sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--meta", "none",
        "--config", HERE / "generator.json", "--output-path", package, "--fail-on-warning",
    )  # fmt: skip
    program = shutil.copy(HERE / "example.py", package.parent)
    done(
        sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file", os.devnull,
        program, package, folder=package.parent,
    )  # fmt: skip
    put_to_work(stores, sys.executable, program, path=package.parent)


@pytest.mark.skipif(
    NODE is None or not all((MODULES / each).exists() for each in TYPESCRIPT),
    reason="Node or the packages of package.json are not there: `make clients` installs them",
)
def test_typescript(stores: Stores, document: Path, tmp_path: Path) -> None:
    for name in ("example.ts", "package.json", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    scripts: dict[str, str] = json.loads((HERE / "package.json").read_text())["scripts"]
    generate, build = (scripts[name].split()[1:] for name in ("types", "build"))  # without npm, which wants the network
    assert NODE is not None
    done(NODE, MODULES / TYPESCRIPT[0], *generate, folder=tmp_path)
    done(NODE, MODULES / TYPESCRIPT[1], *build, folder=tmp_path)
    put_to_work(stores, NODE, tmp_path / "built" / "example.js")
