"""A generation's partitions: filled, and checked against the rules that hold for every shop."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import polars as pl
from psycopg import Cursor, sql
from psycopg.rows import DictRow

from recsys_assets.stores import staging
from recsys_assets.stores.postgres import PERSON_TABLES, Connection
from recsys_assets.stores.staging import Marked

Piece = TypeVar("Piece")
TABLES = (
    "lists", "similar_items", "next_items", "popular_items", "products", "profiles", "plans", "copy_texts",
)  # fmt: skip
_SIMILAR = ["product_id", "rank", "similar_product_id", "score", "confidence", "price_micros", "source"]
_NEXT = ["product_id", "rank", "next_product_id", "score"]
_POPULAR = ["category", "rank", "product_id", "score", "buyers", "price_micros", "reason"]
_PRODUCTS = [
    "product_id", "parent_id", "name", "category", "brand", "unit_price_micros", "list_price_micros", "image_url",
    "url", "in_stock", "not_recommendable", "price_tier",
]  # fmt: skip
_COPY = [
    "product_id", "intent", "trigger", "reason_kind", "language", "headline", "sentence", "call_to_action", "source",
    "facts_hash", "tone", "prompt_version", "model",
]  # fmt: skip


def texts(frames: Marked, generation: int) -> dict[str, Iterator[bytes]]:
    """What each table's COPY is sent."""
    made = (
        staging.copy_lists(frames, generation),
        staging.copy_rows(frames.similar, generation, _SIMILAR),
        staging.copy_rows(frames.following, generation, _NEXT),
        staging.copy_rows(frames.popular, generation, _POPULAR),
        staging.copy_rows(frames.products, generation, _PRODUCTS),
        staging.copy_profiles(frames, generation),
        staging.copy_plans(frames, generation),
        staging.copy_rows(frames.copy, generation, _COPY),
    )
    return dict(zip(TABLES, made, strict=True))


def load(connection: Connection, generation: int, frames: Marked) -> dict[str, int]:
    """New partitions of a generation, filled by COPY; how many rows Postgres took, by table.

    Filled first and attached then, all in one transaction: unlike making a partition in place, that waits for no
    reader of the older ones and lets none wait.
    """
    taken = {}
    with connection.transaction(), connection.cursor() as cursor:
        for table, text in texts(frames, generation).items():
            names = {
                "parent": sql.Identifier(table),
                "made": sql.Identifier(f"{table}_{generation}"),
                "number": sql.Literal(generation),
            }
            # The constraint spares the attaching a look at every row.
            make = "CREATE TABLE {made} (LIKE {parent} INCLUDING ALL, CHECK (generation = {number}))"
            cursor.execute(sql.SQL(make).format(**names))
            taken[table] = send(cursor, names["made"], text)
            cursor.execute(sql.SQL("ANALYZE {made}").format(**names))
            attach = "ALTER TABLE {parent} ATTACH PARTITION {made} FOR VALUES IN ({number})"
            cursor.execute(sql.SQL(attach).format(**names))
    return taken


def send(cursor: Cursor[DictRow], table: sql.Composable, text: Iterator[bytes]) -> int:
    """COPY text → a table; how many rows Postgres took."""
    with ahead(text) as pieces, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
        for piece in pieces:
            copy.write(piece)
    return cursor.rowcount


@contextmanager
def ahead(pieces: Iterator[Piece]) -> Iterator[Iterator[Piece]]:
    """The same pieces, each built by a thread while the one before it is sent."""
    with ThreadPoolExecutor(1) as pool:

        def each() -> Iterator[Piece]:
            coming = pool.submit(next, pieces, None)
            while (piece := coming.result()) is not None:
                coming = pool.submit(next, pieces, None)
                yield piece

        yield each()


def problems_of(frames: Marked, taken: dict[str, int], counts: dict[str, int]) -> list[str]:
    """Rules that hold for every shop; an empty list where all do.

    ``taken`` is what COPY reported, ``counts`` what Postgres holds now.
    """
    lists = frames.lists
    problems = []
    if lists.select("person_key", "product_id").is_duplicated().any():
        problems.append("a list holds a product twice")
    if lists.filter(pl.col.price_micros.is_null() | (pl.col.price_micros <= 0)).height:
        problems.append("a list holds a product without a price")
    if not lists.filter(pl.col.position.is_null().all().over("person_key")).is_empty():
        problems.append("a person has no served product")
    sent = {
        "lists": lists["person_key"].n_unique() + frames.without_list().height,
        "similar_items": frames.similar.height,
        "next_items": frames.following.height,
        "popular_items": frames.popular.height,
        "products": frames.products.height,
        "profiles": frames.profiles.height,
        "plans": frames.plans.height,
        "copy_texts": frames.copy.height,
    }
    for table, rows in sent.items():
        if taken[table] != rows:
            problems.append(f"{table}: COPY took {taken[table]} rows of {rows}")
        # Opt-outs during the load take rows away from the person tables: there, fewer is right.
        fewer = counts[table] < rows and table not in PERSON_TABLES
        if counts[table] > rows or fewer:
            problems.append(f"{table}: {counts[table]} rows in Postgres, {rows} in the frame")
    if counts["list_products"] > lists.height or (counts["lists"] == sent["lists"]) != (
        counts["list_products"] == lists.height
    ):
        problems.append(f"lists: {counts['list_products']} products in Postgres, {lists.height} in the frame")
    return problems
