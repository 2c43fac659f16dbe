"""What a lake does, the same below a folder and in a bucket."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest

from recsys_assets.errors import (
    DamagedError,
    HomeError,
    NotFoundError,
    RecsysError,
    SettingsError,
    StoreError,
    TableError,
)
from recsys_assets.settings import init_home, load_settings
from recsys_assets.stores.files import Folder, trouble
from recsys_assets.stores.lake import Delivery, Inspected, Lake, days_between
from recsys_assets.tables import DELIVERY_AUDIT, Table
from recsys_assets_tests.bucket import S3, SECRET, s3_server

MONDAY, TUESDAY, WEDNESDAY = days_between(date(2017, 1, 2), date(2017, 1, 4))
LANDING = Table("landing_events", "daily", (), DELIVERY_AUDIT.columns, "")
DELIVERY = Delivery("whole", LANDING.name, "contract", "f.csv", None, 1, {"2017-01-02": 1}, 9, 9, "now")


def audit(*rows: tuple[date, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"event_date": d, "source_file": f, "rows": n, "clean": n, "rejected": 0, "duplicates": 0}
            for d, f, n in rows
        ],
        schema=DELIVERY_AUDIT.columns,
    )


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def at_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, with the environment that its clients read."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty lake may be: both places keep one contract."""
    if request.param == "folder":
        return str(tmp_path / "a lake")
    server: S3 = request.getfixturevalue("at_s3")
    return server.new_bucket() + "/a/prefix"


@pytest.fixture
def lake(url: str) -> Lake:
    return Lake(url)


def test_every_day_of_the_window_is_replaced_also_by_nothing(lake: Lake) -> None:
    lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((MONDAY, "a", 1), (TUESDAY, "a", 2)))
    written = lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((TUESDAY, "b", 3)))
    assert written == {MONDAY: 0, TUESDAY: 1}
    assert (
        lake.scan(DELIVERY_AUDIT, [MONDAY, TUESDAY, WEDNESDAY]).collect().to_dicts()
        == audit((TUESDAY, "b", 3)).to_dicts()
    )
    assert lake.days(DELIVERY_AUDIT) == [MONDAY, TUESDAY]


def test_an_empty_lake_has_no_days_no_rows_and_no_deliveries(lake: Lake) -> None:
    assert lake.days(DELIVERY_AUDIT) == []
    assert lake.scan(DELIVERY_AUDIT, [MONDAY, TUESDAY]).collect().equals(DELIVERY_AUDIT.empty())
    assert lake.scan(DELIVERY_AUDIT, []).collect().equals(DELIVERY_AUDIT.empty())
    assert list(lake.deliveries()) == []
    assert lake.modified(DELIVERY_AUDIT, MONDAY) is None
    assert lake.parts("models/als") == {}
    lake.drop(DELIVERY_AUDIT.name, MONDAY)
    lake.withdraw(DELIVERY)


def test_rows_come_in_the_order_of_the_days_and_then_of_the_parts(lake: Lake) -> None:
    for part in ("b", "a"):
        lake.write_daily(LANDING, [MONDAY], audit((MONDAY, "not this part", 1)))
        for day in (MONDAY, TUESDAY):
            lake.write(LANDING, day, audit((day, part, 1)), part=part)
    found = lake.scan(LANDING, [TUESDAY, MONDAY], {"a", "b"}).collect()
    assert found["source_file"].to_list() == ["a", "b", "a", "b"]
    assert found["event_date"].to_list() == [TUESDAY, TUESDAY, MONDAY, MONDAY]


def test_a_part_that_is_too_old_for_a_column_has_nulls_in_it(lake: Lake) -> None:
    """Days that were written before a table got a column are still read."""
    old = Table(DELIVERY_AUDIT.name, "daily", (), dict(list(DELIVERY_AUDIT.columns.items())[:-1]), "")
    new = DELIVERY_AUDIT.empty().clear(1)
    lake.write(old, MONDAY, new.select(list(old.columns)))
    lake.write(DELIVERY_AUDIT, TUESDAY, new)
    assert lake.read(DELIVERY_AUDIT, MONDAY).equals(new)
    both = lake.scan(DELIVERY_AUDIT, [MONDAY, TUESDAY]).collect()
    assert (both.height, both.schema) == (2, new.schema)


def test_a_row_of_another_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="2017-01-04"):
        Lake(tmp_path).write_daily(DELIVERY_AUDIT, [MONDAY], audit((WEDNESDAY, "a", 1)))


def test_a_wrong_column_is_named(tmp_path: Path) -> None:
    frame = audit((MONDAY, "a", 1)).with_columns(pl.col.rows.cast(pl.Int32)).drop("clean")
    with pytest.raises(TableError, match=r"rows is Int32 instead of Int64; clean is missing"):
        Lake(tmp_path).write(DELIVERY_AUDIT, MONDAY, frame)


def test_a_day_that_was_never_written_names_its_asset(lake: Lake) -> None:
    lake.write(DELIVERY_AUDIT, TUESDAY, audit((TUESDAY, "a", 1)))
    assert lake.read(DELIVERY_AUDIT, TUESDAY).equals(audit((TUESDAY, "a", 1)))
    with pytest.raises(NotFoundError, match="asset delivery_audit"):
        lake.read(DELIVERY_AUDIT, MONDAY)
    with pytest.raises(NotFoundError, match=r"choices\.json of choices of 2017-01-02"):
        lake.get_text("choices", MONDAY, "choices.json")


def test_only_parts_of_recorded_deliveries_count(lake: Lake, url: str) -> None:
    lake.write(LANDING, MONDAY, audit((MONDAY, "whole", 1)), part="whole")
    lake.write(LANDING, MONDAY, audit((MONDAY, "killed", 1)), part="killed")
    lake.record(DELIVERY)
    assert lake.scan_landed(LANDING, [MONDAY]).collect()["source_file"].to_list() == ["whole"]
    assert list(lake.deliveries(LANDING)) == [DELIVERY]
    assert list(lake.deliveries(DELIVERY_AUDIT)) == []
    other = Lake(url)
    renamed = replace(DELIVERY, path="another name.csv")
    other.record(renamed)
    other.record(replace(DELIVERY, file_id="second"))
    assert list(lake.deliveries(LANDING)) == [replace(DELIVERY, file_id="second"), renamed]
    other.withdraw(DELIVERY)
    assert [delivery.file_id for delivery in lake.deliveries()] == ["second"]
    assert set(lake.parts(LANDING.name)[MONDAY]) == {"killed.parquet"}


def test_records_that_were_read_are_not_read_again(at_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(at_s3.new_bucket())
    for number in range(40):
        lake.record(replace(DELIVERY, file_id=f"{number:02}"))
    assert len(list(lake.deliveries())) == 40

    def refused(names: list[str]) -> list[bytes]:
        assert names == []
        return []

    monkeypatch.setattr(lake._files, "read_all", refused)
    assert [delivery.file_id for delivery in lake.deliveries()] == [f"{number:02}" for number in range(40)]


def test_a_day_is_dropped_and_its_neighbours_stay(lake: Lake) -> None:
    lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((MONDAY, "a", 1), (TUESDAY, "a", 2)))
    before = lake.modified(DELIVERY_AUDIT, TUESDAY)
    assert lake.written(DELIVERY_AUDIT, [MONDAY, TUESDAY, date(2031, 1, 1)]) == {
        MONDAY: lake.modified(DELIVERY_AUDIT, MONDAY),
        TUESDAY: before,
    }
    lake.drop(DELIVERY_AUDIT.name, MONDAY)
    assert lake.days(DELIVERY_AUDIT) == [TUESDAY]
    assert lake.modified(DELIVERY_AUDIT, TUESDAY) == before
    lake.drop(DELIVERY_AUDIT.name, TUESDAY)
    assert lake.days(DELIVERY_AUDIT) == []


def test_a_folder_of_files_comes_back(lake: Lake) -> None:
    with lake.new_folder("models/als", MONDAY) as folder:
        (folder / "model.npz").write_bytes(b"\x00" * 3)
        (folder / "model.json").write_text("{}")
    lake.put_text("models/als", MONDAY, "version.txt", "ünï")
    with lake.folder("models/als", MONDAY) as folder:
        assert (folder / "model.npz").read_bytes() == b"\x00" * 3
        assert (folder / "model.json").read_text() == "{}"
        assert (folder / "version.txt").read_text() == "ünï"
    assert lake.get_text("models/als", MONDAY, "version.txt") == "ünï"
    assert lake.parts("models/als")[MONDAY]["version.txt"] == 5
    with lake.folder("models/als", TUESDAY) as folder:
        assert not (folder / "model.npz").exists()


def test_a_write_that_fails_leaves_what_was_there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))

    def fails(frame: pl.DataFrame, file: object, **_: object) -> None:
        file.write(b"PAR1")  # type: ignore[attr-defined]  # a binary file
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pl.DataFrame, "write_parquet", fails)
        with pytest.raises(KeyboardInterrupt):
            lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "b", 1)))
    assert lake.read(DELIVERY_AUDIT, MONDAY)["source_file"].to_list() == ["a"]
    assert list(lake.parts(DELIVERY_AUDIT.name)[MONDAY]) == ["part.parquet"]


def test_a_folder_that_cannot_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="RECSYS_LAKE_URL"):
        Lake(tmp_path / "file").write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))


# A bucket that is not there, is forbidden or does not answer.


def whatever_it_does(lake: Lake) -> list[Callable[[], object]]:
    return [
        lambda: lake.days(DELIVERY_AUDIT),
        lambda: lake.read(DELIVERY_AUDIT, MONDAY),
        lambda: lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1))),
        lambda: list(lake.deliveries()),
        lambda: lake.get_text("choices", MONDAY, "choices.json"),
        lambda: lake.drop(DELIVERY_AUDIT.name, MONDAY),
    ]


def test_a_missing_bucket_is_named_whatever_is_asked(at_s3: S3) -> None:
    lake = Lake("s3://no-such-bucket/prefix")
    for ask in whatever_it_does(lake):
        with pytest.raises(SettingsError, match=r"RECSYS_LAKE_URL: there is no bucket no-such-bucket"):
            ask()


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """A server that says the same to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f"<Error><Code>{code}</Code><Message>not an-access-key</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  the names that http.server asks for

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def said(error: RecsysError) -> str:
    text = str(error)
    assert "RECSYS_LAKE_URL" in text
    assert SECRET not in text
    assert "an-access-key" not in text
    return text


def test_a_bucket_that_denies_access_is_a_wrong_setting(at_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Lake(at_s3.new_bucket())
    opened.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))
    with answering(403, "AccessDenied") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for ask in whatever_it_does(Lake("s3://lake")):
            with pytest.raises(SettingsError) as refused:
                ask()
            assert "denies access" in said(refused.value)
        # Rows are read from there by now, though the parts were found at the other.
        with pytest.raises(SettingsError) as refused:
            opened.read(DELIVERY_AUDIT, MONDAY)
        assert "denies access" in said(refused.value)


def test_a_server_that_does_not_answer_may_later(at_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Lake(at_s3.new_bucket())
    opened.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))
    with answering(403, "AccessDenied") as nobody:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
    with pytest.raises(StoreError) as away:
        Lake("s3://lake").days(DELIVERY_AUDIT)
    assert "does not answer" in said(away.value)
    with pytest.raises(OSError, match="object-store") as raw:  # what a job's stage and the command line translate
        opened.scan(DELIVERY_AUDIT, [MONDAY]).collect()
    found = trouble(raw.value)
    assert isinstance(found, StoreError)
    said(found)


def test_other_errors_are_not_the_lakes() -> None:
    assert trouble(FileNotFoundError(2, "No such file", "orders.csv")) is None


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("s3://a-bucket/some/prefix/", "s3://a-bucket/some/prefix"),
        ("s3://a-bucket", "s3://a-bucket"),
        ("/a/folder", "/a/folder"),
        ("file:///a%20folder", "/a folder"),
        ("", None),
    ],
)
def test_the_setting_is_a_path_or_a_bucket(raw: str, read: str | None, tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_LAKE_URL": raw})
    home = init_home(settings, first_day=MONDAY, time_zone="UTC", currency="EUR")
    assert home.lake_url == (read or str(tmp_path / "lake"))
    if raw.startswith("s3"):
        with pytest.raises(HomeError, match="not a folder of this machine"):
            _ = home.lake
    else:
        assert home.lake == Path(home.lake_url)


@pytest.mark.parametrize("raw", ["lake", "s3://", "s3://Bucket/x", "s3://bucket/../x", "s3://b b/x", "gs://bucket/x"])
def test_a_lake_elsewhere_is_refused_by_name(raw: str) -> None:
    with pytest.raises(SettingsError, match="RECSYS_LAKE_URL is n"):
        load_settings({"RECSYS_LAKE_URL": raw})


def test_a_part_that_is_gone_or_damaged_is_named_with_the_way_back(lake: Lake, url: str) -> None:
    lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((MONDAY, "a", 1), (TUESDAY, "a", 2)))
    assert lake.inspect(DELIVERY_AUDIT) == Inspected(2, 0, ())
    lake._files.write({f"delivery_audit/{MONDAY}/part.parquet": lambda file: file.write(b"half")})
    lake._files.delete_folder(f"delivery_audit/{TUESDAY}")  # by hand
    assert lake.days(DELIVERY_AUDIT) == [MONDAY, TUESDAY]
    way = "`recsys run history --from {0} --to {0}`, or restore a backup."
    for day, words in ((MONDAY, r"is damaged \(4 bytes instead of [\d,]+\)"), (TUESDAY, "is gone")):
        for ask in (lambda day=day: lake.scan(DELIVERY_AUDIT, [day]), lambda day=day: lake.read(DELIVERY_AUDIT, day)):
            with pytest.raises(DamagedError, match=rf"delivery_audit/{day}/part\.parquet {words}: {way.format(day)}"):
                ask()
    assert len(lake.inspect(DELIVERY_AUDIT).damaged) == 2
    lake.write_daily(DELIVERY_AUDIT, [MONDAY, TUESDAY], audit((MONDAY, "a", 1)))
    assert Lake(url).inspect(DELIVERY_AUDIT).damaged == ()
    assert lake.read(DELIVERY_AUDIT, MONDAY).height == 1


def test_a_flipped_bit_is_found_by_what_trains_and_by_the_doctor(tmp_path: Path) -> None:
    Lake(tmp_path).write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))
    path = tmp_path / "delivery_audit" / str(MONDAY) / "part.parquet"
    content = bytearray(path.read_bytes())
    content[6] ^= 1
    path.write_bytes(content)
    lake = Lake(tmp_path, thorough=True)
    with pytest.raises(DamagedError, match="its SHA-256 is another"):
        lake.scan(DELIVERY_AUDIT, [MONDAY])
    assert len(lake.inspect(DELIVERY_AUDIT).damaged) == 1


def test_a_part_of_before_the_last_write_is_damage(lake: Lake, url: str) -> None:
    lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1), (MONDAY, "erased", 2)))
    (part,) = lake.files(DELIVERY_AUDIT.name)
    before = lake._files.read(part.name)
    assert lake.rewrite(part, audit((MONDAY, "a", 1)))
    lake._files.write({part.name: lambda file: file.write(before)})  # by hand
    (damaged,) = Lake(url).inspect(DELIVERY_AUDIT).damaged
    assert "is damaged" in damaged
    with pytest.raises(DamagedError):
        lake.read(DELIVERY_AUDIT, MONDAY)


def test_damage_is_looked_at_twice_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))
    (part,) = lake.files(DELIVERY_AUDIT.name)
    content = lake._files.read(part.name)
    (tmp_path / part.name).write_bytes(content[:-1] + b"x")
    opened: list[str] = []
    before = Folder.open

    def opening(files: Folder, name: str) -> BinaryIO:
        opened.append(name)
        return before(files, name)

    monkeypatch.setattr(Folder, "open", opening)
    assert len(lake.inspect(DELIVERY_AUDIT).damaged) == 1
    assert opened == [part.name] * 2


def test_parts_of_before_there_were_manifests_are_fine_and_get_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path, thorough=True)
    lake.write(DELIVERY_AUDIT, MONDAY, audit((MONDAY, "a", 1)))
    shutil.rmtree(tmp_path / "manifests")
    assert lake.read(DELIVERY_AUDIT, MONDAY).height == 1
    assert lake.inspect(DELIVERY_AUDIT) == Inspected(1, 1, ())
    assert lake.inspect(DELIVERY_AUDIT) == Inspected(1, 0, ())
    shutil.rmtree(tmp_path / "delivery_audit")
    with pytest.raises(DamagedError, match="is gone"):
        lake.read(DELIVERY_AUDIT, MONDAY)


def test_what_is_removed_on_purpose_is_not_missed(lake: Lake) -> None:
    for day in (MONDAY, TUESDAY):
        lake.write(LANDING, day, audit((day, "a", 1)), part="whole")
    lake.record(DELIVERY)
    lake.withdraw(DELIVERY)
    lake.drop(LANDING.name, TUESDAY)
    assert lake.days(LANDING) == []
    assert lake.inspect(LANDING) == Inspected(0, 0, ())


def test_who_reads_while_two_replace_a_part_finds_no_damage(tmp_path: Path) -> None:
    def write() -> None:
        for number in range(60):
            frame = audit(*((MONDAY, str(n), n) for n in range(number)))
            Lake(tmp_path).write(DELIVERY_AUDIT, MONDAY, frame)

    writers, reader, reads = [threading.Thread(target=write) for _ in range(2)], Lake(tmp_path, thorough=True), 0
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        reader.scan(DELIVERY_AUDIT, [MONDAY])
        reads += 1
    for writer in writers:
        writer.join()
    assert reads > 0
    assert reader.inspect(DELIVERY_AUDIT).damaged == ()
