import subprocess
import sys
from pathlib import Path

from recsys_assets.settings import CHECKOUT, Home

GOLDEN = Path(__file__).parents[1] / "golden" / "asset_graph.txt"


def described(home: Home, *what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "recsys_assets_tests.assets.run_describe", *what],
        cwd=CHECKOUT,
        env={"RECSYS_HOME": str(home.path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_asset_graph_is_the_golden_one(home: Home) -> None:
    assert described(home) == GOLDEN.read_text()


def test_the_tables_of_the_readme_are_those_of_the_code(home: Home) -> None:
    """Mended by ``RECSYS_HOME=… python -m recsys_assets_tests.readme``, with any home."""
    assert described(home, "readme") == (CHECKOUT / "README.md").read_text()
