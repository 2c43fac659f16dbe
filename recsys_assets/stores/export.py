"""A generation's lists → one file for the shop, Parquet or CSV: one row per person and product.

Read from Postgres in pieces, so that a generation need not fit into memory, and written whole or not at all. Nobody
who was suppressed is in it, not even those who asked while it was being written.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow.parquet as pq

from recsys_assets.columns import SCORE
from recsys_assets.errors import NotFoundError
from recsys_assets.identity import KeyRing
from recsys_assets.logic.safe_text import FORMULA
from recsys_assets.scratch import beside, create, settle
from recsys_assets.stores.postgres import Connection, Postgres, query, rows
from recsys_assets.stores.suppressions import kept, suppressing

Format = Literal["parquet", "csv"]
_PIECE_BYTES = 16_000_000  # of COPY text: some 100,000 rows
# As the query names them; what COPY writes is text without a header.
_COPIED: dict[str, pl.DataType] = {
    "person_key": pl.String(),
    "recommendation_id": pl.String(),
    "rank": pl.Int64(),
    "position": pl.Int64(),
    "product_id": pl.String(),
    "score": SCORE,
    "confidence": SCORE,
    "price": pl.Float64(),  # 53 bits hold every price of the contract to the millionth
    **dict.fromkeys(("category", "reason_code", "reason"), pl.String()),
    "purchased": pl.String(),  # t or f
    "model_source": pl.String(),
}
# In one pass, so that a backslash that was in the text does not become half of another escape.
_ESCAPES = {r"\\": "\\", r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\b": "\b", r"\f": "\f", r"\v": "\v"}


@dataclass(frozen=True)
class Exported:
    """One file. ``without_list`` counts ids that were asked for and have no list."""

    path: Path
    generation: int
    day: str
    people: int
    rows: int
    without_list: int


@dataclass(frozen=True)
class Wanted:
    """Which rows. ``ids`` are ids by their keys, None: everybody; ``candidates``: what is not served, too.

    ``formulas``: CSV holds texts as they are, also those that a spreadsheet would take for formulas.
    """

    generation: int | None = None
    ids: Mapping[str, str] | None = None
    candidates: bool = False
    formulas: bool = False


@dataclass
class _Taken:
    """What stands in a file; ``version`` of the suppressions that are left out."""

    facts: dict[str, Any]
    version: int
    rows: int = 0
    people: int = 0
    last: str = ""

    def count(self, frame: pl.DataFrame) -> None:
        """Rows come by person: one who continues from the piece before is counted once."""
        if frame.is_empty():
            return
        self.rows += frame.height
        self.people += frame["person_key"].n_unique() - (frame["person_key"][0] == self.last)
        self.last = frame["person_key"][-1]


def export_lists(
    postgres: Postgres, keys: KeyRing, out: Path, file_format: Format, wanted: Wanted, currency: str
) -> Exported:
    """Writes the lists of a kept generation (None: the live one) to ``out``, which it replaces; mode 0600.

    Raises:
        NotFoundError: the generation is not kept, or none is live.
        RefusedError: a link or a folder is in the way.
        SettingsError: the file cannot be written there.
        StoreError: Postgres does not answer.
    """
    if not postgres.refresh():
        raise _not_kept(wanted.generation)
    with postgres.connect() as connection, beside(out) as folder:
        staged, made = create(folder / "staged"), create(folder / "made")
        taken = _stage(connection, staged, wanted, currency)
        gone, ready = set[str](), staged
        while True:
            if gone or file_format == "csv":
                change = _without(keys, gone)
                taken = _made(staged, made, file_format, taken, change, formulas=wanted.formulas)
                ready = made
            # An erasure removes people from the files that it finds: under its lock, this one is found or knows of it.
            with suppressing(connection):
                since = rows(connection, "read/suppressed_since", {"version": taken.version})
                if not since:
                    settle(ready, out)
                    break
            gone |= {row["mark"].hex for row in since}
            taken.version = max(row["version"] for row in since)
    asked = len(wanted.ids or ())
    return Exported(
        out, taken.facts["generation"], str(taken.facts["day"]), taken.people, taken.rows,
        without_list=max(0, asked - taken.people) if wanted.ids is not None else 0,
    )  # fmt: skip


def _stage(connection: Connection, staged: Path, wanted: Wanted, currency: str) -> _Taken:
    """All rows → a Parquet file, of one moment of the database."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        version = int(rows(connection, "read/suppression_version")[0]["suppression_version"])
        facts = _facts(connection, wanted.generation) | {"currency": currency}
        _want(connection, wanted.ids)
        taken = _Taken(facts, version)
        with _writer(staged, "parquet", _shaped(pl.DataFrame(schema=_COPIED), wanted, facts)) as write:
            for piece in _pieces(connection, wanted, facts["generation"]):
                frame = _shaped(piece, wanted, facts)
                taken.count(frame)
                write(frame)
    return taken


def _facts(connection: Connection, generation: int | None) -> dict[str, Any]:
    known = {row["generation"]: row for row in rows(connection, "read/generations")}
    if generation is None:
        generation = next((number for number, row in known.items() if row["live"]), None)
    if generation is None or generation not in kept(connection):
        raise _not_kept(generation)
    return {name: known[generation][name] for name in ("generation", "day", "model_version")}


def _not_kept(generation: int | None) -> NotFoundError:
    if generation is None:
        return NotFoundError("nothing has been published yet")
    return NotFoundError(f"generation {generation} is not kept; see `recsys generations`")


def _want(connection: Connection, ids: Mapping[str, str] | None) -> None:
    """Keys that are asked for, as a table of the transaction. Ids do not go to Postgres."""
    connection.execute("CREATE TEMP TABLE wanted (person_key uuid PRIMARY KEY) ON COMMIT DROP")
    with connection.cursor() as cursor, cursor.copy("COPY wanted FROM STDIN") as copy:
        for key in ids or ():
            copy.write_row((key,))
    connection.execute("ANALYZE wanted")


def _pieces(connection: Connection, wanted: Wanted, generation: int) -> Iterator[pl.DataFrame]:
    """Rows as COPY sends them. In its text format a row is a line, whatever characters its values hold."""
    values = {"generation": generation, "candidates": wanted.candidates, "chosen": wanted.ids is not None}
    waiting = bytearray()
    with connection.cursor() as cursor:
        text = query("read/export_lists").rstrip()
        with cursor.copy(f"COPY ({text}) TO STDOUT".encode(), values) as copy:
            for block in copy:
                waiting += block
                if len(waiting) >= _PIECE_BYTES and waiting.endswith(b"\n"):
                    yield _parsed(bytes(waiting))
                    waiting.clear()
    if waiting:
        yield _parsed(bytes(waiting))


def _parsed(text: bytes) -> pl.DataFrame:
    """COPY text → a frame."""
    lines = pl.Series(text.decode().split("\n")[:-1], dtype=pl.String)
    fields = lines.str.split_exact("\t", len(_COPIED) - 1).struct.rename_fields(list(_COPIED)).struct.unnest()
    texts = [name for name, dtype in _COPIED.items() if dtype == pl.String]
    fields = fields.with_columns(pl.when(pl.all() != "\\N").then(pl.all()))
    odd = fields.select(pl.col(texts).str.contains("\\", literal=True).any()).row(0, named=True)
    return fields.with_columns(
        pl.col(name).str.replace_many(list(_ESCAPES), list(_ESCAPES.values())) for name in texts if odd[name]
    ).cast(pl.Schema(_COPIED))


def _shaped(copied: pl.DataFrame, wanted: Wanted, facts: Mapping[str, Any]) -> pl.DataFrame:
    """The file's columns."""
    frame = copied
    if wanted.ids is not None:
        ids = wanted.ids
        frame = frame.with_columns(pl.col("person_key").replace_strict(ids, return_dtype=pl.String).alias("user_id"))
    return frame.select(
        "person_key",
        *(["user_id"] if wanted.ids is not None else []),
        "rank",
        "position",
        "product_id",
        "score",
        "confidence",
        "price",
        pl.lit(facts["currency"]).alias("currency"),
        "category",
        "reason_code",
        "reason",
        (pl.col("purchased") == "t").alias("purchased"),
        "model_source",
        "recommendation_id",
        pl.lit(facts["model_version"]).alias("model_version"),
        pl.lit(facts["generation"], dtype=pl.Int64).alias("generation"),
        pl.lit(facts["day"], dtype=pl.Date).alias("day"),
    )


def _without(keys: KeyRing, gone: Collection[str]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Takes rows of those whose mark is ``gone`` out of a frame."""

    def act(frame: pl.DataFrame) -> pl.DataFrame:
        if not gone:
            return frame
        people = [key for key in frame["person_key"].unique() if keys.mark(key) in gone]
        return frame.filter(~pl.col("person_key").is_in(people))

    return act


def _made(
    staged: Path,
    made: Path,
    file_format: Format,
    before: _Taken,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    formulas: bool,
) -> _Taken:
    """The staged file, changed, in its final form."""
    taken = _Taken(before.facts, before.version)
    source = pq.ParquetFile(staged)
    with _writer(made, file_format, pl.DataFrame(source.schema_arrow.empty_table())) as write:
        for number in range(source.num_row_groups):
            frame = change(pl.DataFrame(source.read_row_group(number)))
            taken.count(frame)
            write(frame if formulas or file_format != "csv" else _without_formulas(frame))
    return taken


def _without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """As `logic.safe_text.without_formula`, of every text."""
    texts = pl.col(pl.String)
    return frame.with_columns(pl.when(texts.str.contains(FORMULA)).then("'" + texts).otherwise(texts).name.keep())


@contextmanager
def _writer(path: Path, file_format: Format, empty: pl.DataFrame) -> Iterator[Callable[[pl.DataFrame], object]]:
    """Writes frames of one schema one after the other into a file that is there; into none, too."""
    with path.open("wb") as file:
        if file_format == "csv":
            empty.write_csv(file)
            yield lambda frame: frame.write_csv(file, include_header=False)
        else:
            with pq.ParquetWriter(file, empty.to_arrow().schema, compression="zstd") as writer:
                yield lambda frame: writer.write_table(frame.to_arrow())
