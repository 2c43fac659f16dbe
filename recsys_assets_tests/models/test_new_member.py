"""A model, and a member of the blend, added to a copy of the checkout by the words of `pages/ml_engineer.md`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_assets.settings import CHECKOUT

MODEL = '''
import numpy as np

from recsys_assets.models.base import names


class Crowd:
    """The number of people who bought a product, said to whoever has a history."""

    name = "crowd"

    def __init__(self, *, threads=0):
        self.parameters = {}

    def fit(self, train):
        self.product_ids = train.product_ids
        self.buyers = np.asarray(train.owned.sum(axis=0), dtype=np.float32).ravel()

    def scores(self, history):
        known = np.asarray(history.owned.sum(axis=1) > 0, dtype=np.float32).reshape(-1, 1)
        return known * self.buyers[None, :]

    def arrays(self):
        return {"product_ids": self.product_ids, "buyers": self.buyers}

    def restore(self, arrays):
        self.product_ids, self.buyers = names(arrays), arrays["buyers"].astype(np.float32)
'''
ASKED = """
from recsys_assets.logic.choices import Choices
from recsys_assets.models import make_blend
from recsys_assets.models.candidates import candidates
from recsys_assets.tables import CANDIDATES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import random_shop
import numpy as np

tuning = Tuning(blend={"members": ("crowd", "popularity"), "kind": "weights"})
blend = make_blend(tuning, every=True)
train = random_shop()
blend.fit(train)
assert "crowd" in blend.names, blend.names
listable = np.full(len(train.product_ids), True)
made = next(iter(candidates(blend, train, listable, Choices.unchosen(tuning), tuning)))
assert list(made.columns) == list(CANDIDATES.columns)
assert made["crowd"].max() == 1
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("recsys_assets", "recsys_assets_tests", "sql", "templates"):
        ignored = shutil.ignore_patterns("node_modules", "benchmarks", "chaos")  # what was compiled comes along
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    package = tmp_path / "recsys_assets"
    (package / "models" / "crowd.py").write_text(MODEL)
    edit(
        package / "models" / "members.py",
        "from recsys_assets.models.basket",
        "from recsys_assets.models.crowd import Crowd\n",
    )
    edit(package / "models" / "members.py", '    "als": Als,', '    "crowd": Crowd,\n')
    return tmp_path


def edit(file: Path, before: str, line: str) -> None:
    """Puts ``line`` before the only place that holds ``before``."""
    text = file.read_text()
    assert text.count(before) == 1, (file, before)
    file.write_text(text.replace(before, line + before))


def python(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_contract_suite_runs_over_a_new_model(copy: Path) -> None:
    """One file, and its name in `models/members.py`."""
    suite = "recsys_assets_tests/models/test_contract.py"
    told = python(copy, "-m", "pytest", "-v", "-o", "addopts=", "-p", "no:cacheprovider", suite, "-k", "crowd")
    assert "test_the_same_bits_on_one_and_two_threads[crowd] PASSED" in told


def test_a_blend_may_be_made_of_a_new_member(copy: Path) -> None:
    """Beside that, `MEMBERS` of `sources.py` and its parameters in `models/__init__.py`."""
    package = copy / "recsys_assets"
    sources = (package / "sources.py").read_text()
    (package / "sources.py").write_text(sources.replace('"basket", "content")', '"basket", "content", "crowd")', 1))
    edit(package / "models" / "__init__.py", '        "content": {', '        "crowd": {},\n')
    python(copy, "-c", ASKED)
