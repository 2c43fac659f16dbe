"""Files made for people, below a home's ``exports``: lists as Parquet or CSV, rendered e-mails; and their erasure.

An export has a column ``person_key``, whatever else it has. Of a rendered e-mail, ``.people/<its name>.json`` beside it
says whose it is, by mark: neither the mail nor its name need hold anything of ours.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import polars as pl

from recsys_assets import scratch
from recsys_assets.errors import SourceError
from recsys_assets.stores.files import Folder

PEOPLE = ".people"
EXPORTS, MAILS = "exports", "e-mails"
_OURS = re.compile(r"(lists|candidates)-\d+\.")  # what `recsys export` names a file of its own accord
_PERSON = "person_key"
_KEY = pl.col(_PERSON).cast(pl.String).str.strip_prefix("key:").str.replace_all("-", "")


def files(folder: Path) -> list[Path]:
    """Every file below a home's exports that is whole, by name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(map(scratch.is_scratch, path.relative_to(folder).parts))
    )


def note_mail(files: Collection[Path], mark: str) -> None:
    """Notes whose rendered e-mail ``files`` of one folder are; of one that was somebody else's, anew."""
    folder = next(iter(files)).parent
    with Folder(folder).alone(PEOPLE):
        for file in files:
            scratch.write_private(folder / PEOPLE / f"{file.name}.json", json.dumps({"mark": mark}))


def mail_of(note: Path) -> tuple[Path, str]:
    """The rendered e-mail that a file below ``.people`` is about, and the mark of its person."""
    return note.parent.parent / note.name.removesuffix(".json"), json.loads(note.read_text(encoding="utf-8"))["mark"]


def without(
    folder: Path, marks: Collection[str], marks_of: Callable[[set[str]], Mapping[str, str]]
) -> Mapping[tuple[str, str], int]:
    """Removes people from every file below ``folder``; how many rows and mails went, by mark and store.

    Args:
        folder: a home's exports.
        marks: of everybody who was erased.
        marks_of: keys → those of them that have one of ``marks``, with it.

    Raises:
        SourceError: a file that is ours by its name or has a column ``person_key`` cannot be read; nobody knows who is
            in it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for path in files(folder):
        try:
            if path.parent.name == PEOPLE:
                counts.update(_without_mail(path, marks))
            elif path.suffix in (".parquet", ".csv"):
                counts.update(_without_rows(path, folder, marks_of))
        except FileNotFoundError:  # somebody has removed it just now
            continue
        except (OSError, ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
            why = type(error).__name__  # its words may quote a row
            raise SourceError(f"{path} cannot be read ({why}): nobody can be erased from it. Remove it.") from None
    return counts


def _without_mail(note: Path, marks: Collection[str]) -> Counter[tuple[str, str]]:
    with Folder(note.parent.parent).alone(PEOPLE):  # it may just become somebody else's
        mail, mark = mail_of(note)
        if mark not in marks:
            return Counter()
        mail.unlink(missing_ok=True)
        note.unlink()
    return Counter({(mark, MAILS): 1})


def _without_rows(
    path: Path, folder: Path, marks_of: Callable[[set[str]], Mapping[str, str]]
) -> Counter[tuple[str, str]]:
    """An export that is being made anew meanwhile is looked at again."""
    parquet = path.suffix == ".parquet"
    while path.exists():
        found = path.stat()
        rows = pl.scan_parquet(path) if parquet else pl.scan_csv(path, infer_schema=False)
        try:
            if _PERSON not in rows.collect_schema():
                break
        except pl.exceptions.PolarsError:
            if _OURS.match(path.name):
                raise
            break  # somebody's own
        counted = rows.group_by(_KEY.alias("_key")).len().collect()
        gone = marks_of(set(counted["_key"].drop_nulls().to_list()))
        if not gone:
            break
        left = rows.filter(~_KEY.is_in(sorted(gone)).fill_null(False))
        with scratch.scratch(folder) as beside:
            made = scratch.create(beside / "made")
            left.sink_parquet(made) if parquet else left.sink_csv(made)
            if path.stat().st_mtime_ns == found.st_mtime_ns:
                scratch.settle(made, path)
                return Counter({(gone[key], EXPORTS): count for key, count in counted.iter_rows() if key in gone})
    return Counter()
