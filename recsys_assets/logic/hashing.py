"""What makes two computations of a day the same."""

import hashlib

import polars as pl

from recsys_assets.tables import LISTS

_TEXT_ROWS = 1_000_000  # bounds the memory of the text that is hashed at once


def in_order(lists: pl.DataFrame) -> pl.DataFrame:
    """LISTS rows by person and rank. The lake has them so already, and a look is cheaper than sorting millions."""
    before, person = pl.col.person_key.shift(), pl.col.person_key
    sorted_already = (before < person) | ((before == person) & (pl.col.rank.shift() < pl.col.rank))
    if lists.select(sorted_already.fill_null(True).all()).item():
        return lists
    return lists.sort(LISTS.grain)


def list_hash(lists: pl.DataFrame) -> str:
    """SHA-256, 64 hex digits, of the LISTS rows by person and rank, whatever their order in the frame.

    Column by column: name, dtype, height, which values are null, then the values (numbers as little-endian machine
    words; texts as their lengths and all their bytes). Text per row would be readable, and takes 12 times as long.

    Raises:
        TableError: the frame is not LISTS.
    """
    digest = hashlib.sha256()
    for column in in_order(LISTS.conform(lists)):
        digest.update(f"{column.name} {column.dtype} {column.len()}\n".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            texts = column.fill_null("")
            digest.update(texts.str.len_bytes().to_numpy().tobytes())
            for start in range(0, texts.len(), _TEXT_ROWS):
                digest.update(texts.slice(start, _TEXT_ROWS).str.join("").item().encode())
        else:
            zero = False if column.dtype == pl.Boolean else 0
            digest.update(column.fill_null(zero).to_numpy().tobytes())
    return digest.hexdigest()
