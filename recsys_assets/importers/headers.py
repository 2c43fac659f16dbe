"""Names of a file's columns: what is wrong with them, said without repeating what may be people's data."""

import re
from collections.abc import Collection
from pathlib import Path

from recsys_assets.errors import SourceError

MAX_COLUMNS = 10_000
DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'"}
_SHOWN = 20  # names in a message
_DATA = re.compile(  # numbers, times, mail addresses, UUIDs
    r"[+-]?\d+([.,]\d+)*|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?|[^@]*@.*|[0-9a-f]{8}-[0-9a-f-]{27}", re.ASCII
)


def looks_like_data(names: Collection[str]) -> bool:
    """Whether a first line holds values instead of names: then no message may repeat it.

    >>> looks_like_data(["user_id", "2019 sales"]), looks_like_data(["u-7", "2024-05-01T09:30:00Z"])
    (False, True)
    """
    return any(_DATA.fullmatch(name.strip()) for name in names)


def list_names(names: Collection[str]) -> str:
    """Names with commas between them, not too many.

    >>> list_names(["b", "a"])
    'b, a'
    """
    more = f" … ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return ", ".join(list(names)[:_SHOWN]) + more


def describe_header(names: Collection[str], before: str) -> str:
    """``before`` and the names; or that they look like data."""
    if looks_like_data(names):
        return "its first line looks like data: is the header line missing? Add one"
    return before + list_names(names)


def delimiter_of(header: str, read_with: str = ",") -> str | None:
    """What seems to stand between the names of a header line that ``read_with`` does not cut.

    >>> delimiter_of("user;item;when"), delimiter_of("user,item;when"), delimiter_of("user")
    (';', None, None)
    """
    if read_with in header:
        return None
    return max((d for d in (",", *DELIMITERS) if d in header), key=header.count, default=None)


def demand_columns_in_bounds(path: Path, count: int) -> None:
    """Refuses a file of too many columns, before anything is made of them.

    Raises:
        SourceError: it has more than `MAX_COLUMNS`.
    """
    if count > MAX_COLUMNS:
        raise SourceError(
            f"{path}: the file has {count:,} columns; {MAX_COLUMNS:,} are the most. Leave out the others."
        )


def refuse_encoding(path: Path, head: bytes) -> None:
    """Refuses UTF-16 by its first bytes: every line of it would be refused, with a riddle for a reason.

    Raises:
        SourceError: it is UTF-16.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{path}: the file is in UTF-16. Save it as UTF-8 and deliver it again.")
