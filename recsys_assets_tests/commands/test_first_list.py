"""From nothing to a first list with four columns and the README's own lines, typed one after the other."""

import csv
import json
import os
import random
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.pages import README, Block, Call, blocks, calls

DAYS, PEOPLE, PRODUCTS = 60, 40, 24


def own_data() -> list[Block]:
    """The blocks of the section "Your own data, in five steps"."""
    text = README.read_text()
    first = text.count("\n", 0, text.index("## Your own data")) + 1
    last = text.count("\n", 0, text.index("## Nights")) + 1
    return [block for block in blocks(README) if first < block.line < last]


def lines_of_a_user(first_day: date) -> list[Call]:
    """What somebody with four columns types, with a first day of their own: steps 1, 2 and 3 by mapping file, and 4."""
    five, mapped = (list(calls(block.text)) for block in own_data() if block.language == "sh")
    (init,) = (call for call in five if call.words[1] == "init")
    init.words[init.words.index("--first-day") + 1] = str(first_day)
    return [init, *mapped, *(call for call in five if call.words[1] == "run")]


def write_sales(folder: Path, last: date) -> None:
    """Two months of sales with the header that the README shows, and its mapping file."""
    shown = {block.language: block.text for block in own_data()}
    header = shown["csv"].splitlines()[0]
    made = random.Random(5)
    with (folder / "sales.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(header.split(","))
        for back in range(DAYS):
            day = last - timedelta(back)
            for person in range(PEOPLE):
                for _ in range(made.randint(0, 2)):
                    # Even people like even products; everybody buys the first few.
                    product = made.choice([made.randrange(4), made.randrange(person % 2, PRODUCTS, 2)])
                    hour = made.randrange(8, 22)
                    rows.writerow([f"{day} {hour:02}:12:00", person + 1, f"A-{product}", f"{product + 1}.49"])
    (folder / "sales.toml").write_text(shown["toml"])


def test_four_columns_come_to_a_first_list_by_the_lines_of_the_readme(tmp_path: Path) -> None:
    home, ended = tmp_path / "my shop", datetime.now(UTC).date() - timedelta(4)
    write_sales(tmp_path, ended)

    def typed(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "recsys_assets.cli", *words], cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "RECSYS_HOME": str(home)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"recsys {' '.join(words)}\n{done.stdout}"
        return done.stdout

    try:
        said = [typed(*call.words[1:]) for call in lines_of_a_user(ended - timedelta(DAYS))]
        assert "0 rejected" in said[1]
        assert "Kept in" in said[2]
        assert "Next: `recsys run daily`" in said[3].splitlines()[-1]
        assert f"no events are there after {ended}" in said[4]
        assert said[4].splitlines()[-1].startswith(f"generation 1 for {ended} is live. Next: `recsys show USER`")
        person = json.loads(typed("show", "17", "--json"))
        assert person["list"]
        assert (
            typed("run", "daily", "--day", str(ended - timedelta(1)), "--no-publish")
            .splitlines()[-1]
            .startswith(f"{ended - timedelta(1)} is computed and checked, and not published")
        )
        assert f"generation 1 for {ended}" in typed("status")
    finally:
        remove_postgres(home)
