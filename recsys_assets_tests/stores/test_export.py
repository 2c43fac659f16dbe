import re
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from recsys_assets.errors import NotFoundError, RefusedError, SettingsError
from recsys_assets.local.processes import wait_until
from recsys_assets.logic.safe_text import FORMULA
from recsys_assets.stores import export
from recsys_assets.stores.export import Exported, Format, Wanted, export_lists
from recsys_assets.stores.postgres import SUPPRESSION_LOCK, Postgres
from recsys_assets_tests.published import DAY, ODD, Stores, frames

COLUMNS = [
    "person_key", "rank", "position", "product_id", "score", "confidence", "price", "currency", "category",
    "reason_code", "reason", "purchased", "model_source", "recommendation_id", "model_version", "generation", "day",
]  # fmt: skip
OVERRIDES = {"day": pl.Date, "score": pl.Float32, "confidence": pl.Float32, "model_version": pl.String}


def write(stores: Stores, out: Path, file_format: Format = "parquet", **wanted: Any) -> Exported:
    return export_lists(Postgres(stores.postgres_url), stores.home.keys, out, file_format, Wanted(**wanted), "EUR")


def read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, schema_overrides=OVERRIDES)


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_a_row_per_person_and_place(stores: Stores, tmp_path: Path, file_format: Format) -> None:
    made = stores.publish(["1", "2"])
    out = tmp_path / "new folder" / f"lists.{file_format}"
    done = write(stores, out, file_format)
    assert done == Exported(out, made.generation, str(DAY), people=2, rows=6, without_list=0)
    found = read(out)
    assert found.columns == COLUMNS
    assert found["person_key"].to_list() == [key for key in sorted(map(stores.key, "12")) for _ in range(3)]
    rows = found.filter(pl.col("person_key") == stores.key("1")).to_dicts()
    assert [(row["rank"], row["position"], row["product_id"], row["reason"]) for row in rows] == [
        (1, 1, "a", "why a"), (2, 2, "b", "why b"), (3, 3, ODD, f"why {ODD}"),
    ]  # fmt: skip
    with psycopg.connect(stores.postgres_url) as connection:
        ids = connection.execute("SELECT recommendation_id FROM lists WHERE person_key = %s", [stores.key("1")])
        assert rows[0]["recommendation_id"] == ids.fetchall()[0][0].hex
    assert rows[2] == {
        "person_key": stores.key("1"), "rank": 3, "position": 3, "product_id": ODD, "confidence": 0.5,
        "score": pl.Series([1 / 3], dtype=pl.Float32)[0], "price": 0.00001, "currency": "EUR", "category": "x > y",
        "reason_code": "code", "reason": f"why {ODD}", "purchased": False, "model_source": "item_cf",
        "model_version": "1", "recommendation_id": rows[0]["recommendation_id"], "generation": made.generation,
        "day": DAY,
    }  # fmt: skip
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in out.parent.iterdir()] == [out.name]


NASTY = [
    "\\N",
    "\\",
    "\\n",
    "\\\\t",
    "a\tb",
    "a\nb",
    "a\r\n",
    "\x08\x0c\x0b",
    "\u2028\x85",
    "NULL",
    "{}",
    '""',
    " ",
    "🥖,",
]


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_texts_come_back_as_they_are(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: Format
) -> None:
    made = frames([stores.key(str(person)) for person in range(9)], tuple(NASTY))
    bare = pl.when(pl.col("rank") % 2 == 0).then(pl.col("category"))
    made = replace(made, lists=made.lists.with_columns(bare, pl.lit("").alias("reason")))
    stores.publisher.publish(DAY, made, model_version="1", keep=5, progress=str)
    monkeypatch.setattr(export, "_PIECE_BYTES", 400)  # two rows or three
    done = write(stores, tmp_path / f"lists.{file_format}", file_format)
    found = read(done.path)
    assert (done.people, done.rows) == (9, 9 * len(NASTY)) == (found["person_key"].n_unique(), found.height)
    person = found.filter(pl.col("person_key") == stores.key("4"))
    assert person["product_id"].to_list() == NASTY
    assert person["rank"].to_list() == list(range(1, len(NASTY) + 1))
    assert person["category"].to_list()[:2] == [None, "x > y"]
    if file_format == "parquet":  # CSV has one form for an empty text and for none
        assert set(person["reason"]) == {""}


def test_csv_runs_nothing_in_a_spreadsheet_and_can_be_read_back(stores: Stores, tmp_path: Path) -> None:
    bad = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''", "a=1", "'tis"]
    stores.publisher.publish(DAY, frames([stores.key("1")], tuple(bad)), model_version="1", keep=5, progress=str)
    ids = {stores.key("1"): "-1"}
    found = read(write(stores, tmp_path / "lists.csv", "csv", ids=ids).path)
    harmless = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "''=1", "''", "a=1", "'tis"]
    assert found["product_id"].to_list() == harmless
    assert found["user_id"][0] == "'-1"
    assert found["score"].dtype.is_float()
    back = [text[1:] if re.match(FORMULA, text) else text for text in found["product_id"]]
    assert back == bad
    as_they_are = read(write(stores, tmp_path / "raw.csv", "csv", ids=ids, formulas=True).path)
    assert as_they_are["product_id"].to_list() == bad
    assert read(write(stores, tmp_path / "lists.parquet", ids=ids).path)["product_id"].to_list() == bad


def test_a_link_in_the_way_is_refused(stores: Stores, tmp_path: Path) -> None:
    stores.publish(["1"])
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "lists.csv").symlink_to(tmp_path / "theirs")
    with pytest.raises(RefusedError, match="is a link, which is not written over"):
        write(stores, tmp_path / "lists.csv", "csv")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_candidates_are_written_when_they_are_asked_for(stores: Stores, tmp_path: Path) -> None:
    made = frames([stores.key("1")])
    made = replace(made, lists=made.lists.with_columns(pl.when(pl.col("rank") > 1).then(pl.col("position"))))
    stores.publisher.publish(DAY, made, model_version="1", keep=5, progress=str)
    assert write(stores, tmp_path / "a.parquet").rows == 2
    assert write(stores, tmp_path / "a.parquet", candidates=True).rows == 3
    assert read(tmp_path / "a.parquet")["position"].to_list() == [None, 2, 3]


def test_ids_stand_beside_the_keys_of_those_who_are_asked_for(stores: Stores, tmp_path: Path) -> None:
    stores.publish(["1", "2", ODD, "out"])
    stores.suppressions.optout(stores.key("out"))
    ids = {stores.key(one): one for one in (ODD, "2", "unknown", "out")}
    done = write(stores, tmp_path / "a.csv", "csv", ids=ids)
    assert (done.people, done.without_list) == (2, 2)
    found = read(done.path)
    assert found.columns[:2] == ["person_key", "user_id"]
    assert dict(found.select("person_key", "user_id").iter_rows()) == {stores.key("2"): "2", stores.key(ODD): ODD}
    none = write(stores, tmp_path / "b.parquet", ids={stores.key("unknown"): "unknown"})
    assert (none.people, none.rows, none.without_list) == (0, 0, 1)
    assert read(none.path).columns[:2] == ["person_key", "user_id"]


def test_any_kept_generation_and_no_other(stores: Stores, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    with pytest.raises(NotFoundError, match="nothing has been published"):
        write(stores, out)
    with psycopg.connect(stores.postgres_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)
    first, _ = stores.publish(["1"], "a"), stores.publish(["1"], "b")
    assert read(write(stores, out, generation=first.generation).path)["product_id"].to_list() == ["a"]
    assert read(write(stores, out).path)["product_id"].to_list() == ["b"]
    with pytest.raises(NotFoundError, match="generation 3 is not kept"):
        write(stores, out, generation=3)
    assert read(out)["product_id"].to_list() == ["b"]


def test_who_is_suppressed_is_left_out_though_the_row_is_still_there(stores: Stores, tmp_path: Path) -> None:
    stores.publish(["1", "2"])
    values = [stores.home.keys.mark(stores.key("2"))]
    with psycopg.connect(stores.postgres_url) as connection:
        connection.execute("INSERT INTO suppressions (mark, kind, version) VALUES (%s, 'optout', 0)", values)
    assert set(read(write(stores, tmp_path / "a.parquet").path)["person_key"]) == {stores.key("1")}


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_who_opts_out_while_it_is_written_is_not_in_it(stores: Stores, tmp_path: Path, file_format: Format) -> None:
    stores.publish(["1", "2", "3"])
    done: list[Exported] = []
    out = tmp_path / f"lists.{file_format}"
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [SUPPRESSION_LOCK])
        writing = threading.Thread(target=lambda: done.append(write(stores, out, file_format)))
        writing.start()
        assert wait_until(lambda: connection.execute(waiting, [SUPPRESSION_LOCK]).fetchone() == (1,), 20)
        version = "UPDATE live SET suppression_version = suppression_version + 1 RETURNING suppression_version"
        (number,) = connection.execute(version).fetchall()[0]
        values = [stores.home.keys.mark(stores.key("2")), number]
        connection.execute("INSERT INTO suppressions (mark, kind, version) VALUES (%s, 'erased', %s)", values)
        connection.execute("SELECT pg_advisory_unlock(%s)", [SUPPRESSION_LOCK])
        writing.join()
    assert (done[0].people, done[0].rows) == (2, 6)
    assert set(read(out)["person_key"]) == {stores.key("1"), stores.key("3")}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(stores: Stores, tmp_path: Path) -> None:
    stores.publish(["1"])
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SettingsError, match="cannot be written"):
        write(stores, tmp_path / "file" / "lists.parquet")
    with pytest.raises(RefusedError, match="is a folder, which is not written over"):
        write(stores, tmp_path)
    assert (tmp_path / "file").read_text() == "kept"
    assert not list(tmp_path.rglob(".recsys-tmp-*"))


def test_what_breaks_off_leaves_the_file_that_was_there(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.publish(["1"])
    out = tmp_path / "lists.parquet"
    out.write_bytes(b"yesterday's")

    def break_off(_: bytes) -> pl.DataFrame:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_parsed", break_off)
    with pytest.raises(KeyboardInterrupt):
        write(stores, out)
    assert out.read_bytes() == b"yesterday's"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]
