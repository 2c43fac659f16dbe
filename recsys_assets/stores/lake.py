"""The lake: Parquet files in folders, one per table and day, below a folder or in a bucket.

``<table>/<day>/<part>.parquet``. A part appears whole or not at all. Daily and as-of tables have one part a day;
landing tables have one per delivered file, and only the parts of deliveries that were recorded as complete are read.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import polars as pl

from recsys_assets.columns import DTypes
from recsys_assets.errors import DamagedError, NotFoundError, TableError
from recsys_assets.stores.files import Folder, Found, Put, place, trouble
from recsys_assets.stores.manifests import Form, Manifests, form_of
from recsys_assets.tables import Table

PART = "part"
SUFFIX = ".parquet"
DELIVERIES = "deliveries"
TOMBSTONES, SWEEPS = "tombstones", "sweeps"
_BROUGHT_BACK = {
    DELIVERIES: "delete it, and bring its file in again by `recsys ingest`",
    TOMBSTONES: "restore it from a backup, for it says who must not come back",
    SWEEPS: "delete it, and the next sweep reads everything",
}
_T = TypeVar("_T")
HISTORY = (
    "clean_events",
    "rejected_events",
    "delivery_audit",
    "sessions",
    "daily_sales",
)  # what that job writes of landed files


@dataclass(frozen=True)
class Delivery:
    """One file of the shop that has landed whole.

    ``file_id`` is a hash of its bytes, ``rows`` counts its rows as read, ``days`` the rows that landed per day, less
    those of people who were erased since. ``erased`` counts these, and rows that did not land because their person had
    been erased before: rows = Σ days + erased. ``read_to`` is the day on which the next read of a database's growing
    table starts. ``map_hash`` is that of the mapping file's text and the kind.
    """

    file_id: str
    table: str
    format: str
    path: str
    map: str | None
    rows: int
    days: dict[str, int]
    size: int
    modified_ns: int
    landed_at: str
    read_to: str | None = None
    erased: int = 0
    map_hash: str = ""


@dataclass(frozen=True)
class Inspected:
    """How many files a table has, how many got a manifest now, and a sentence for each that is damaged or gone."""

    files: int
    new: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Tombstones:
    """Marks of keys: of people who were ``erased``, and of anonymous keys that one of them ``shared`` with others."""

    erased: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    def __or__(self, other: "Tombstones") -> "Tombstones":
        return Tombstones(self.erased | other.erased, self.shared | other.shared)


def days_between(first: date, last: date) -> list[date]:
    """Every day from ``first`` to ``last``, both included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


class Lake:
    """All tables below one place: a path, or ``s3://bucket/prefix``.

    Every method raises `SettingsError` where the place cannot be used as it is set, and `StoreError` where it does
    not answer. Rows of a lazy frame are read later: `recsys_assets.stores.files.trouble` knows those errors.
    """

    def __init__(self, url: str | Path, *, thorough: bool = False) -> None:
        """``thorough``: what is read is held against the SHA-256 that it was written with, not its size alone."""
        self._files = place(url)
        self._thorough = thorough and isinstance(self._files, Folder)  # a bucket keeps hashes itself
        self._manifests = Manifests(self._files, remedy)
        self._known: dict[Found, Delivery] = {}

    def write(self, table: Table, day: date, frame: pl.DataFrame, part: str = PART) -> int:
        """Replaces one part of one day; returns its rows.

        Raises:
            TableError: the frame is not of the table's columns and dtypes.
        """
        return self.write_each(table, {day: frame}, part)[day]

    def write_each(self, table: Table, frames: Mapping[date, pl.DataFrame], part: str = PART) -> dict[date, int]:
        """Replaces one part of each of some days; returns its rows. They are on the disk after one wait for all.

        Raises:
            TableError: a frame is not of the table's columns and dtypes.
        """
        parts = {f"{_folder(table.name, day)}/{part}{SUFFIX}": table.conform(one) for day, one in frames.items()}
        if parts:
            self._write(parts)
        return {day: frame.height for day, frame in frames.items()}

    def _write(self, parts: Mapping[str, pl.DataFrame]) -> None:
        """Replaces parts of one table, by name."""
        forms: dict[str, Form] = {}

        def written(name: str, frame: pl.DataFrame) -> Put:
            def put(file: BinaryIO) -> None:
                frame.write_parquet(file, compression="zstd", compression_level=1)
                forms[name] = form_of(file)

            return put

        with ExitStack() as others_wait:

            def ready() -> None:
                others_wait.enter_context(self._manifests.alone(next(iter(forms))))
                self._manifests.announce(forms)

            self._files.write({name: written(name, frame) for name, frame in parts.items()}, ready)
            self._manifests.confirm(forms)

    def write_daily(self, table: Table, days: Sequence[date], frame: pl.DataFrame) -> dict[date, int]:
        """Replaces every one of ``days`` from a frame with ``event_date``; days without rows get an empty part.

        Raises:
            TableError: a row lies on none of the days, or the frame is not of the table's columns and dtypes.
        """
        table.conform(frame)
        by_day = {
            key[0]: part for key, part in frame.partition_by("event_date", as_dict=True, maintain_order=True).items()
        }
        stray = sorted(map(str, set(by_day) - set(days)))
        if stray:
            raise TableError(f"table {table.name}: rows of {', '.join(stray[:3])} among the days {days[0]}–{days[-1]}")
        return self.write_each(table, {day: by_day.get(day, table.empty()) for day in days})

    def days(self, table: Table) -> list[date]:
        """Days that have a part, or had one that is gone, in order."""
        names = {_day_of(found.name) for found in self._files.find(table.name) if found.name.endswith(SUFFIX)}
        return sorted(map(date.fromisoformat, names | {_day_of(name) for name in self._manifests.names(table.name)}))

    def modified(self, table: Table, day: date) -> int | None:
        """When the newest part of one day was written, nanoseconds since 1970; None where there is none."""
        return max((found.modified_ns for found in self._parts(table, [day])), default=None)

    def written(self, table: Table, days: Iterable[date]) -> dict[date, int]:
        """As `modified`, of many days at once; those without a part are left out."""
        newest: dict[date, int] = {}
        for found in self._parts(table, days):
            day = date.fromisoformat(_day_of(found.name))
            newest[day] = max(found.modified_ns, newest.get(day, 0))
        return newest

    def _parts(self, table: Table, days: Iterable[date]) -> list[Found]:
        """Parts of ``days`` in the order of those, then by name.

        One listing of the table for a range: a distant server answers a thousand names as fast as one.
        """
        wanted: dict[str, list[Found]] = {day.isoformat(): [] for day in days}
        only = next(iter(wanted), "")
        for found in self._files.find(table.name if len(wanted) > 1 else f"{table.name}/{only}") if wanted else []:
            if found.name.endswith(SUFFIX) and (day := _day_of(found.name)) in wanted:
                wanted[day].append(found)
        return [found for parts in wanted.values() for found in parts]

    def scan(self, table: Table, days: Iterable[date], parts: set[str] | None = None) -> pl.LazyFrame:
        """Rows of several days; a day without a part has none. Columns that a part is too old for are null.

        Raises:
            DamagedError: a part is gone, or not as it was written.
        """
        names = self._sound(table, list(days), parts)
        return self._files.scan(names, table.columns) if names else table.empty().lazy()

    def read(self, table: Table, day: date) -> pl.DataFrame:
        """Rows of one day that must be there.

        Raises:
            NotFoundError: the day was never written; the message says which asset writes it.
            DamagedError: a part is gone, or not as it was written.
        """
        names = self._sound(table, [day])
        if not names:
            raise NotFoundError(f"no {table.name} of {day}: materialize the asset {table.name} for that day first.")
        try:
            return self._files.scan(names, table.columns).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise trouble(error) or error from None

    def _sound(self, table: Table, days: Sequence[date], parts: set[str] | None = None) -> list[str]:
        """Names of the parts of ``days``, all of them as they were written."""
        of = {day.isoformat() for day in days}

        def wanted(name: str) -> bool:
            return _day_of(name) in of and (parts is None or _part_of(name) in parts)

        if not of:
            return []
        folder = table.name if len(of) > 1 else f"{table.name}/{min(of)}"
        found = self._manifests.sound(folder, lambda: self._parts(table, days), wanted, content=self._thorough)
        return [one.name for one in found if wanted(one.name)]

    def inspect(self, table: Table) -> Inspected:
        """Compares every part of a table with what was written; those of before there were manifests get one.

        In a bucket, sizes alone: it keeps hashes itself.
        """
        content = isinstance(self._files, Folder)
        damaged = self._manifests.damaged(table.name, lambda: self.files(table.name), content=content)
        known, new = self._manifests.names(table.name), 0
        found = self.files(table.name)
        for one in found if content else ():
            if one.name not in known:
                try:
                    self._files.scan([one.name]).select(pl.len()).collect()
                    with self._manifests.alone(one.name), self._files.open(one.name) as file:
                        self._manifests.confirm({one.name: form_of(file)})
                    new += 1
                except FileNotFoundError:  # somebody has removed it just now
                    continue
                except (OSError, pl.exceptions.PolarsError) as error:
                    if trouble(error) is None:
                        raise
                    damaged.append(f"the lake's file {one.name} is damaged: {remedy(one.name)}, or restore a backup.")
        return Inspected(len(found), new, tuple(damaged))

    # Things that are no table: a model's arrays, choices.

    @contextmanager
    def new_folder(self, name: str, day: date) -> Iterator[Path]:
        """An empty folder of this machine; what the block leaves in it then replaces the files of these names."""
        with tempfile.TemporaryDirectory(prefix="recsys-") as made:
            yield Path(made)
            for path in sorted(path for path in Path(made).rglob("*") if path.is_file()):
                self.put_bytes(name, day, path.relative_to(made).as_posix(), path.read_bytes())

    def folder(self, name: str, day: date) -> AbstractContextManager[Path]:
        """The folder for as long as the block, to be read: itself, or a copy of it from the bucket."""
        return self._files.local(_folder(name, day))

    def put_bytes(self, name: str, day: date, file: str, content: bytes) -> None:
        """Replaces one file of a folder."""
        self._files.write({f"{_folder(name, day)}/{file}": lambda out: out.write(content)})

    def put_text(self, name: str, day: date, file: str, text: str) -> None:
        """Replaces one file of a folder."""
        self.put_bytes(name, day, file, text.encode())

    def get_text(self, name: str, day: date, file: str) -> str:
        """One file of a folder.

        Raises:
            NotFoundError: it is not there.
        """
        try:
            return self._files.read(f"{_folder(name, day)}/{file}").decode()
        except FileNotFoundError:
            raise NotFoundError(f"no {file} of {name} of {day}: materialize that day first.") from None

    # Deliveries: what makes landed parts count.

    def record(self, delivery: Delivery) -> None:
        """Makes the parts of one delivered file count, all at once."""
        content, name = json.dumps(asdict(delivery), indent=1, sort_keys=True).encode(), _record(delivery)
        self._files.write({name: lambda file: file.write(content)})
        # A bucket tells whole seconds: written twice within one, a record may look like the one before.
        self._known = {found: known for found, known in self._known.items() if found.name != name}

    def withdraw(self, delivery: Delivery) -> None:
        """Takes one delivered file back: it stops counting at once, then its parts go."""
        self._files.delete(_record(delivery))
        for day in delivery.days:
            self._delete(f"{delivery.table}/{day}/{delivery.file_id}{SUFFIX}")

    def deliveries(self, table: Table | None = None) -> Iterator[Delivery]:
        """Recorded deliveries in order of file id. A record that this instance has read before is not read again."""
        there = [found for found in self._files.find(DELIVERIES) if found.name.endswith(".json")]
        new = [found for found in there if found not in self._known]
        contents = self._files.read_all([found.name for found in new])
        read = {
            found: _read(found.name, text, lambda told: Delivery(**told))
            for found, text in zip(new, contents, strict=True)
        }
        self._known = {found: read.get(found) or self._known[found] for found in there}
        for delivery in self._known.values():
            if table is None or delivery.table == table.name:
                yield delivery

    def scan_landed(self, table: Table, days: Iterable[date]) -> pl.LazyFrame:
        """Landed rows of several days, of recorded deliveries only."""
        return self.scan(table, days, {delivery.file_id for delivery in self.deliveries(table)})

    def landed_until(self, table: Table, last: date) -> pl.DataFrame:
        """Landed rows of every day up to ``last``: of rates, users and products, each of which holds until the next."""
        return self.scan_landed(table, [day for day in self.days(table) if day <= last]).collect()

    # Tombstones: who must not come back. They stand in the lake because files land where no server runs.

    def tombstones(self) -> Tombstones:
        """Everybody's."""
        return self._buried()[0]

    def bury(self, more: Tombstones) -> Tombstones:
        """Adds tombstones; everybody's. What two write at once is kept: each writes a file of its own."""
        known, _ = self._buried()
        new = Tombstones(more.erased - known.erased, more.shared - known.shared)
        if new != Tombstones():
            self._put_tombstones(new)
        return known | more

    def gather_tombstones(self) -> None:
        """Makes one file of many."""
        known, names = self._buried()
        if len(names) > 1:
            whole = self._put_tombstones(known)
            for name in names:
                if name != whole:
                    self._files.delete(name)

    def begin_sweep(self) -> int:
        """The time of the lake's own place, nanoseconds since 1970."""
        self._files.write({f"{SWEEPS}/begun.json": lambda file: file.write(b"{}")})
        return next(found.modified_ns for found in self._files.find(SWEEPS) if found.name.endswith("/begun.json"))

    def end_sweep(self, marks: Tombstones, begun: int) -> None:
        """Every file that is older than ``begun`` holds nobody of ``marks``."""
        content = json.dumps({"of": _named(marks), "begun": begun}).encode()
        self._files.write({f"{SWEEPS}/done.json": lambda file: file.write(content)})

    def swept_before(self, marks: Tombstones) -> int:
        """Files older than this hold nobody of ``marks``; 0: any may."""
        try:
            text = self._files.read(f"{SWEEPS}/done.json")
        except FileNotFoundError:
            return 0
        of, begun = _read(f"{SWEEPS}/done.json", text, lambda told: (str(told["of"]), int(told["begun"])))
        return begun if of == _named(marks) else 0

    def _put_tombstones(self, marks: Tombstones) -> str:
        content, name = _text(marks), f"{TOMBSTONES}/{_named(marks)}.json"
        self._files.write({name: lambda file: file.write(content)})
        return name

    def _buried(self) -> tuple[Tombstones, list[str]]:
        while True:
            names = [found.name for found in self._files.find(TOMBSTONES) if found.name.endswith(".json")]
            try:
                contents = self._files.read_all(names)
            except FileNotFoundError:  # just now, many have become one
                continue
            known = Tombstones()
            for name, text in zip(names, contents, strict=True):
                known |= _read(
                    name, text, lambda told: Tombstones(**{which: frozenset(marks) for which, marks in told.items()})
                )
            return known, names

    # Files as they are, whatever version has written them: for erasure.

    def files(self, name: str) -> list[Found]:
        """Parquet files of a table, of deliveries that were not recorded too."""
        return [found for found in self._files.find(name) if found.name.endswith(SUFFIX)]

    def columns(self, files: Sequence[Found], columns: DTypes) -> pl.LazyFrame:
        """Some columns of some files (null where one lacks them), and the file's name as ``_file``."""
        return self._files.columns([found.name for found in files], columns)

    def read_file(self, name: str) -> pl.DataFrame:
        """All of one file."""
        try:
            return self._files.scan([name]).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise trouble(error) or error from None

    def rewrite(self, file: Found, frame: pl.DataFrame) -> bool:
        """Replaces one file as a whole; False where it is no longer the one that was found."""
        if file not in self._files.find(file.name.rpartition("/")[0]):
            return False
        self._write({file.name: frame})
        return True

    def remove(self, file: Found) -> None:
        """Removes one file."""
        self._delete(file.name)

    def _delete(self, name: str) -> None:
        with self._manifests.alone(name):
            self._manifests.forget(name)
            self._files.delete(name)

    def parts(self, name: str) -> dict[date, dict[str, int]]:
        """File name → bytes, per day, of a table or of things that are no table (``models/als``)."""
        days: dict[date, dict[str, int]] = {}
        for found in self._files.find(name):
            days.setdefault(date.fromisoformat(_day_of(found.name)), {})[found.name.rpartition("/")[2]] = found.size
        return days

    def clear(self) -> int:
        """Removes what writers that were killed have left; how many."""
        return self._files.clear()

    def drop(self, name: str, day: date) -> None:
        """Removes one day of a table, or of things that are no table."""
        with self._manifests.alone(name):
            self._manifests.forget(_folder(name, day))
            self._files.delete_folder(_folder(name, day))


def remedy(name: str) -> str:
    """How a part of the lake is brought back.

    >>> remedy("clean_events/2024-01-05/part.parquet")
    '`recsys run history --from 2024-01-05 --to 2024-01-05`'
    """
    table, day, _ = name.split("/")
    if table.startswith("landing_"):
        return f"delete {DELIVERIES}/{_part_of(name)}.json in the lake and bring its file in again by `recsys ingest`"
    if table in HISTORY:
        return f"`recsys run history --from {day} --to {day}`"
    return f"`recsys run daily --day {day}`"


def _part_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(SUFFIX)


def _read(name: str, text: bytes, what: Callable[[Any], _T]) -> _T:
    """What a small file of ours says.

    Raises:
        DamagedError: it is not as we write it.
    """
    try:
        return what(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError):
        kind = name.partition("/")[0]
        raise DamagedError(f"the lake's file {name} is damaged: {_BROUGHT_BACK[kind]}.") from None


def _text(marks: Tombstones) -> bytes:
    return json.dumps({name: sorted(of) for name, of in vars(marks).items()}, indent=0).encode()


def _named(marks: Tombstones) -> str:
    return hashlib.sha256(_text(marks)).hexdigest()[:32]


def _folder(name: str, day: date) -> str:
    return f"{name}/{day.isoformat()}"


def _day_of(name: str) -> str:
    return name.split("/")[-2]


def _record(delivery: Delivery) -> str:
    return f"{DELIVERIES}/{delivery.file_id}.json"
