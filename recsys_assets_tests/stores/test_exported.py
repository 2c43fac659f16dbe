"""Exports and rendered e-mails without people who were erased."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from recsys_assets.errors import SourceError
from recsys_assets.identity import KeyRing
from recsys_assets.stores.exported import EXPORTS, MAILS, PEOPLE, note_mail, without

KEYS = KeyRing(b"a secret for the tests")
ANN, BOB = KEYS.user_key("ann"), KEYS.user_key("bob")
ERASED = {KEYS.mark(ANN)}
LISTS = pl.DataFrame(
    {
        "user_id": ["007", "bob", "007"],
        "person_key": [ANN, BOB, ANN],
        "reason": ['a "quoted", and\na broken line', "", "x"],
        "price": ["1.50", "2.00", None],
    }
)


def erase(folder: Path) -> Mapping[tuple[str, str], int]:
    return without(folder, ERASED, lambda keys: {key: KEYS.mark(key) for key in keys if KEYS.mark(key) in ERASED})


@pytest.mark.parametrize("written", ["", "key:"])
def test_rows_of_the_erased_leave_csv_and_parquet(tmp_path: Path, written: str) -> None:
    lists = LISTS.with_columns(pl.concat_str(pl.lit(written), "person_key").alias("person_key"))
    (tmp_path / "nightly").mkdir()
    lists.write_csv(tmp_path / "lists.csv")
    lists.write_parquet(tmp_path / "nightly" / "lists.parquet")
    assert dict(erase(tmp_path)) == {(KEYS.mark(ANN), EXPORTS): 4}
    left = lists.filter(pl.col("user_id") == "bob")
    assert pl.read_parquet(tmp_path / "nightly" / "lists.parquet").equals(left)
    assert (tmp_path / "lists.csv").read_text() == left.write_csv()
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["lists.csv", "lists.parquet"]
    assert (tmp_path / "lists.csv").stat().st_mode & 0o077 == 0
    assert dict(erase(tmp_path)) == {}


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("person,what\nann,called\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ours.txt").write_text(ANN)
    LISTS.filter(pl.col("user_id") == "bob").write_csv(tmp_path / "bob.csv")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert dict(erase(tmp_path)) == {}
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
    assert dict(erase(tmp_path / "no such folder")) == {}


def test_an_export_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text(f"user_id,person_key\n007,{ANN}\n7,8,9\n")
    with pytest.raises(SourceError, match=r"broken\.csv cannot be read \(ComputeError\)"):
        erase(tmp_path)


@pytest.mark.parametrize("name", ["lists-12.parquet", "candidates-3.parquet"])
def test_half_a_file_that_is_ours_by_its_name_is_named(tmp_path: Path, name: str) -> None:
    LISTS.write_parquet(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=rf"{name} cannot be read \(ComputeError\): nobody can be erased"):
        erase(tmp_path)


def test_a_file_that_the_system_does_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "lists-1.csv").symlink_to("/proc/self/mem")
    with pytest.raises(SourceError, match=r"lists-1\.csv cannot be read"):
        erase(tmp_path)


def test_mails_go_with_the_person_that_they_were_last_made_for(tmp_path: Path) -> None:
    def render(order: str, key: str) -> None:
        files = [tmp_path / f"{order}.html", tmp_path / f"{order}.txt"]
        note_mail(files, KEYS.mark(key))
        for file in files:
            file.write_text(order)

    render("1", ANN)
    render("2", ANN)
    render("2", BOB)
    render("3", BOB)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / PEOPLE).iterdir()} == {0o600}
    assert dict(erase(tmp_path)) == {(KEYS.mark(ANN), MAILS): 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == [PEOPLE, "2.html", "2.txt", "3.html", "3.txt"]
    assert sorted(path.stem for path in (tmp_path / PEOPLE).iterdir()) == ["2.html", "2.txt", "3.html", "3.txt"]
    assert dict(erase(tmp_path)) == {}
