"""Files made for people, below a home's ``exports``: lists as Parquet or CSV, rendered e-mails; and their erasure.

An export has a column ``person_key``, whatever else it has. Of a rendered e-mail, the file ``.people`` beside it says
whose it is, by mark: neither the mail nor its name need hold anything of ours.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import polars as pl

from recsys_assets import scratch
from recsys_assets.errors import SourceError

PEOPLE = ".people"
EXPORTS, MAILS = "exports", "e-mails"
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
    """Notes whose rendered e-mail ``files`` of one folder are."""
    with (next(iter(files)).parent / PEOPLE).open("a", encoding="utf-8") as people:
        for file in files:
            people.write(json.dumps({"file": file.name, "mark": mark}) + "\n")


def without(
    folder: Path, marks: Collection[str], marks_of: Callable[[set[str]], Mapping[str, str]]
) -> Mapping[tuple[str, str], int]:
    """Removes people from every file below ``folder``; how many rows and mails went, by mark and store.

    Args:
        folder: a home's exports.
        marks: of everybody who was erased.
        marks_of: keys → those of them that have one of ``marks``, with it.

    Raises:
        SourceError: a file with a column ``person_key`` cannot be read; nobody knows who is in it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for path in files(folder):
        try:
            if path.name == PEOPLE:
                counts.update(_without_mails(path, folder, marks))
            elif path.suffix in (".parquet", ".csv"):
                counts.update(_without_rows(path, folder, marks_of))
        except (ValueError, KeyError, pl.exceptions.PolarsError) as error:
            why = type(error).__name__  # its words may quote a row
            raise SourceError(f"{path} cannot be read ({why}): nobody can be erased from it. Remove it.") from None
    return counts


def _without_mails(people: Path, folder: Path, marks: Collection[str]) -> Counter[tuple[str, str]]:
    """Where several lines name one file, it was rendered anew, for somebody else perhaps: the last one holds."""
    whose = {line["file"]: line["mark"] for line in map(json.loads, people.read_text(encoding="utf-8").splitlines())}
    gone = {file: mark for file, mark in whose.items() if mark in marks}
    if not gone:
        return Counter()
    for file in gone:
        (people.parent / file).unlink(missing_ok=True)
    left = [json.dumps({"file": file, "mark": mark}) + "\n" for file, mark in whose.items() if file not in gone]
    scratch.write_private(people, "".join(left), folder)
    return Counter((mark, MAILS) for mark in gone.values())


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
        except pl.exceptions.PolarsError:  # somebody's own: ours appear whole or not at all
            break
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
