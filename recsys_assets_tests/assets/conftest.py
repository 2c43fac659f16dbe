import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from recsys_assets.local.supervisor import Servers, platform_environment, servers
from recsys_assets.logic.publication import TAG
from recsys_assets.settings import CHECKOUT, Home, Settings, Source
from recsys_assets_tests.assets import made_shop
from recsys_assets_tests.assets.warm import context, run_module

RUN_JOB = "recsys_assets_tests.assets.run_job"


@dataclass(frozen=True)
class Shop:
    """A home with made files and running servers, in which jobs run as processes of their own."""

    settings: Settings
    home: Home
    servers: Servers
    programs: ForkServerContext

    def start(self, job: str, first: object, last: object) -> "subprocess.Popen[str]":
        """A job that has begun, by `RUN_JOB`; its log is its stderr, its result its stdout."""
        return subprocess.Popen(
            [sys.executable, "-m", RUN_JOB, job, str(first), str(last)],
            cwd=CHECKOUT,
            env=platform_environment(self.settings, self.home, self.servers),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        job: str,
        first: object,
        last: object,
        module: str = RUN_JOB,
        *,
        wish: str = "",
        **variables: str,
    ) -> dict[str, Any]:
        """What a job told when it ended, run by `RUN_JOB` or a module like it; ``wish``: whether to publish."""
        environment = platform_environment(self.settings, self.home, self.servers) | variables
        words = (job, str(first), str(last), *([f"{TAG}={wish}"] if wish else []))
        with TemporaryDirectory() as folder:
            out, log = run_module(self.programs, module, words, environment, Path(folder))
        assert out, log[-4000:]
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


@pytest.fixture(scope="session")
def programs() -> ForkServerContext:
    """What runs a shop's jobs."""
    return context()


@pytest.fixture(scope="module")
def open_shop(
    tmp_path_factory: pytest.TempPathFactory, database: Callable[[], str], programs: ForkServerContext
) -> Callable[..., Any]:
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
            yield Shop(settings, home, found, programs)

    return open_it
