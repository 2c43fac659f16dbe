"""Schemathesis over every operation of the document, against the real API on real stores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.asked import filled, settings
from recsys_assets_tests.serving.running import api

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "30")  # of each operation


@pytest.mark.parametrize("with_token", [True, False], ids=["with a token", "without a token"])
def test_it_finds_nothing(stores: Stores, tmp_path: Path, with_token: bool) -> None:
    token = filled(stores)
    with api(settings(stores)) as client:
        command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIG}", "run"]
        command += [f"{client.base_url}/openapi.json", "--no-color", f"--max-examples={EXAMPLES}"]
        command += ["--header", f"Authorization: Bearer {token}"] if with_token else []
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert client.get("/api/v1/health").json()["status"] == "ok"
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "No issues found" in done.stdout
