import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands import export
from recsys_assets.errors import NotFoundError, SettingsError, SourceError
from recsys_assets.local.processes import free_port
from recsys_assets.stores.erasure import Sweep
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets_tests.published import ODD, Stores

Run = Callable[..., Result]


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the home."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(command: click.Command, *words: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(command, list(map(str, words)), input=stdin, catch_exceptions=False)

    return invoke


@pytest.fixture
def ids_file(tmp_path: Path) -> Path:
    """Ids as a shop may have them, one of which needs CSV."""
    path = tmp_path / "ids.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["name", "user_id"], ["Ann", "007"], ["Bo", ODD], ["Cy", "unknown"], ["Ann", "007"]]
        )
    return path


def test_a_generation_stands_below_exports_and_says_how_much_it_is(stores: Stores, run: Run) -> None:
    stores.publish(["007", "2"])
    done = run(export.export)
    out = stores.home.exports / "lists-1.parquet"
    assert done.stdout == f"{out}: 6 rows of 2 people, generation 1 for 2024-03-01\n"
    assert done.stderr == ""
    assert pl.read_parquet(out).height == 6
    told = json.loads(run(export.export, "--candidates", "--format", "csv", "--json").stdout)
    assert told == {"path": str(stores.home.exports / "candidates-1.csv"), "generation": 1, "day": "2024-03-01",
                    "people": 2, "rows": 6, "without_list": 0}  # fmt: skip


def test_a_file_elsewhere_is_warned_of_and_its_name_says_the_format(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.publish(["007"])
    stores.publish(["007", "2"])
    done = run(export.export, tmp_path / "x.CSV", "--generation", 1)
    assert "3 rows of 1 people, generation 1" in done.stdout
    assert "an erasure does not reach it" in done.stderr
    assert (tmp_path / "x.CSV").read_text().startswith("person_key,rank,")
    run(export.export, tmp_path)
    assert (tmp_path / "lists-2.parquet").exists()
    with pytest.raises(NotFoundError, match="generation 3 is not kept"):
        run(export.export, tmp_path / "y.csv", "--generation", 3)
    with pytest.raises(SettingsError, match="cannot be written"):
        run(export.export, tmp_path / "x.CSV" / "y.csv")


def test_only_the_people_of_a_file_with_their_ids(stores: Stores, run: Run, ids_file: Path, tmp_path: Path) -> None:
    stores.publish(["007", "2", ODD])
    done = run(export.export, tmp_path / "a.parquet", "--ids", ids_file)
    assert "6 rows of 2 people" in done.stdout
    assert "1 ids have no list in it: unknown, opted out, or new" in done.stdout
    assert set(pl.read_parquet(tmp_path / "a.parquet")["user_id"]) == {"007", ODD}
    done = run(export.export, tmp_path / "a.parquet", "--ids", "-", "--anon", stdin=b"007\n")
    assert "0 rows of 0 people" in done.stdout
    key = f"key:{stores.key('2')}\r\n\n"
    assert "3 rows of 1 people" in run(export.export, tmp_path / "b.csv", "--ids", "-", stdin=key.encode()).stdout
    assert next(csv.DictReader(io.StringIO((tmp_path / "b.csv").read_text())))["user_id"] == key.strip()


def test_it_needs_no_redis(stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.publish(["1"])
    monkeypatch.setenv("RECSYS_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert run(export.export).exit_code == 0


def test_an_erasure_takes_the_person_out_of_both_forms(stores: Stores, run: Run, ids_file: Path) -> None:
    stores.publish(["007", "2", ODD])
    run(export.export, stores.home.exports / "lists.csv", "--ids", ids_file)
    run(export.export)
    stores.suppressions.forget(stores.key("007"))
    postgres = Postgres(stores.postgres_url)
    Sweep(Lake(stores.home.lake), postgres, stores.suppressions, stores.home.keys, stores.home.exports).run()
    left = (stores.home.exports / "lists.csv").read_text()
    assert "007" not in left
    assert stores.key("007") not in left
    assert ODD.replace('"', '""') in left
    keys = set(pl.read_parquet(stores.home.exports / "lists-1.parquet")["person_key"])
    assert keys == {stores.key("2"), stores.key(ODD)}


def test_keys_of_ids(stores: Stores, run: Run, ids_file: Path) -> None:
    printed = run(export.keys, "--ids", ids_file).stdout
    rows = list(csv.reader(io.StringIO(printed)))
    assert rows == [["user_id", "person_key"], *([one, stores.key(one)] for one in ("007", ODD, "unknown"))]
    told = json.loads(run(export.keys, "--ids", "-", "--anon", "--json", stdin="a b \n🥖".encode()).stdout)
    anon = stores.home.keys.anon_key
    assert told == [{"user_id": one, "person_key": anon(one)} for one in ("a b ", "🥖")]


BAD = {
    "empty": (b"", "standard input: the file is empty"),
    "blank lines": (b"\n\n", "standard input holds no id"),
    "too long": (b"a\n" + b"x" * 129 + b"\n", "standard input, line 2: this id is longer than 128 bytes"),
    "a NUL": (b"a\x00b\n", "standard input, line 1: this id holds a NUL"),
    "not UTF-8": (b"a\n\xff\n", "standard input, line 2: this line is not UTF-8"),
    "an empty cell": (b"user_id,x\n,1\n", "standard input, line 2: this id is empty"),
    "a cell too many": (b"user_id,x\na,1,2\n", "standard input, line 2: this line cannot be read"),
}


@pytest.mark.parametrize("what", BAD)
def test_ids_that_cannot_be_read_are_refused_without_being_quoted(run: Run, what: str) -> None:
    content, said = BAD[what]
    with pytest.raises(SourceError) as refused:
        run(export.keys, "--ids", "-", stdin=content)
    assert str(refused.value).startswith(said)
    assert "xxx" not in str(refused.value)
    with pytest.raises(SourceError, match="is not there"):
        run(export.keys, "--ids", "/nowhere/ids")


def test_everything_about_one_person_as_json(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.publish(["007", "2"])
    found = json.loads(run(export.export_person, "007").stdout)
    assert found["key"] == f"key:{stores.key('007')}"
    assert found == json.loads(run(export.export_person, "key:" + stores.key("007")).stdout) | {
        "made_at": found["made_at"]
    }
    by_name = {part["name"]: part["rows"] for part in found["parts"]}
    assert len(by_name["lists"]) == 1
    assert len(by_name["clean_events"]) == 0
    out = tmp_path / "new" / "person.json"
    done = run(export.export_person, "007", "--out", out)
    assert "No erasure reaches this file" in done.stdout
    assert json.loads(out.read_text())["parts"] == found["parts"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(run(export.export_person, "007", "--out", out, "--json").stdout) == {"file": str(out)}
    nobody = json.loads(run(export.export_person, "007", "--anon").stdout)
    assert not any(part["rows"] for part in nobody["parts"])
    with pytest.raises(SettingsError, match="this id is empty"):
        run(export.export_person, "")
