"""A file of ids that a shop supplies, to be joined with keys: one id a line, or a CSV file with the column user_id."""

from collections.abc import Iterator
from pathlib import Path

from recsys_assets.errors import SourceError
from recsys_assets.identity import KEY_PREFIX, id_problem
from recsys_assets.importers.files import demand_file, open_bytes
from recsys_assets.importers.text import read_csv

COLUMN = "user_id"


def read_ids(path: Path, name: str | None = None) -> list[str]:
    """Ids in the order of the file, each once; ``key:<hex>`` may stand among them. ``name``: what messages call it.

    A file whose first line names a column ``user_id`` is CSV. In any other one every line that is not empty is an id
    as it stands, spaces and all.

    Raises:
        SourceError: the file cannot be read, or a line holds no id; the message names the line and never the id.
    """
    called = name or str(path)
    demand_file(path, called)
    ids = dict[str, None]()
    try:
        for line, raw in _from_csv(path) if _is_csv(path) else _from_lines(path, called):
            if why := None if raw.startswith(KEY_PREFIX) else id_problem(raw):
                raise SourceError(f"{called}, line {line}: this id {why}.")
            ids[raw] = None
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), called)) from None
    if not ids:
        raise SourceError(f"{called} holds no id.")
    return list(ids)


def _is_csv(path: Path) -> bool:
    with open_bytes(path) as file:
        first = file.readline().removeprefix(b"\xef\xbb\xbf")
    return COLUMN.encode() in [word.strip(b' "\r\n') for word in first.split(b",")]


def _from_csv(path: Path) -> Iterator[tuple[int, str]]:
    for row in read_csv(path).select("source_line", "problem", COLUMN).iter_rows():
        line, problem, raw = row
        if problem:
            raise SourceError(f"{path}, line {line}: this line cannot be read ({problem}).")
        yield line, raw or ""


def _from_lines(path: Path, called: str) -> Iterator[tuple[int, str]]:
    with open_bytes(path) as file:
        for line, raw in enumerate(file, 1):
            try:
                text = (raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw).decode().rstrip("\r\n")
            except UnicodeDecodeError:
                raise SourceError(f"{called}, line {line}: this line is not UTF-8.") from None
            if text:
                yield line, text
