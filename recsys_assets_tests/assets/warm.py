"""Modules run as programs, by processes that begin with the slow libraries imported: a job's own work is what is left.

Polars is not among them: a fork does not take its threads along.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

_LIBRARIES = (
    "dagster",
    "mlflow",
    "great_expectations.expectations",
    "great_expectations.checkpoint",
    "matplotlib.pyplot",
    "numba",
    "openai",
    "psycopg",
    "redis",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.isotonic",
)


def context() -> ForkServerContext:
    """Its server starts with the first program and ends with this process."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(_LIBRARIES))
    return made


def run_module(
    programs: ForkServerContext, module: str, arguments: Sequence[str], environment: dict[str, str], folder: Path
) -> tuple[str, str]:
    """Stdout and stderr of ``python -m module arguments…`` in a process of its own, which keeps them in ``folder``."""
    out, log = folder / "out", folder / "log"
    child = programs.Process(target=_run, args=(module, list(arguments), environment, str(out), str(log)))
    child.start()
    child.join()
    child.close()
    return out.read_text(), log.read_text()


def _run(module: str, arguments: list[str], environment: dict[str, str], out: str, log: str) -> None:
    for number, path in ((1, out), (2, log)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.stdout.flush()
