import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from recsys_assets.local.supervisor import Servers, platform_environment, servers
from recsys_assets.settings import CHECKOUT, Home, Settings, Source
from recsys_assets_tests.assets import made_shop

RUN_JOB = "recsys_assets_tests.assets.run_job"


@dataclass(frozen=True)
class Shop:
    """A home with made files and running servers, in which jobs run as processes of their own."""

    settings: Settings
    home: Home
    servers: Servers

    def start(
        self, job: str, first: object, last: object, module: str = RUN_JOB, **variables: str
    ) -> "subprocess.Popen[str]":
        """A job that has begun, by `RUN_JOB` or a module like it; its log is its stderr, its result its stdout."""
        environment = platform_environment(self.settings, self.home, self.servers) | variables
        command = [sys.executable, "-m", module, job, str(first), str(last)]
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, job: str, first: object, last: object, module: str = RUN_JOB, **variables: str) -> dict[str, Any]:
        """What a job told when it ended."""
        with self.start(job, first, last, module, **variables) as process:
            out, log = process.communicate()
        assert out, log[-4000:]
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory, database: Callable[[], str]) -> Callable[..., Any]:
    """``with open_shop(shuffle=…) as shop``: all shops of a module share MLflow's database, which is slow to make."""
    tracking = database()

    @contextmanager
    def open_it(shuffle: Callable[[list[dict[str, str]]], None] = lambda _: None) -> Iterator[Shop]:
        from recsys_assets.settings import init_home, load_settings

        folder = tmp_path_factory.mktemp("a shop")
        made_shop.write(folder / "files", shuffle)
        settings = load_settings(
            {
                "RECSYS_HOME": str(folder / "home"),
                "RECSYS_SECRET": "the same in all homes",  # so that keys, and with them list hashes, compare
                "RECSYS_MLFLOW_POSTGRES_URL": tracking,
            }
        )
        home = init_home(
            settings,
            first_day=made_shop.FIRST,
            last_day=made_shop.LAST,
            time_zone="Europe/Berlin",
            currency="EUR",
            sources=(Source(format="contract", path=str(folder / "files")),),
        )
        with servers(settings, home) as found:
            yield Shop(settings, home, found)

    return open_it
