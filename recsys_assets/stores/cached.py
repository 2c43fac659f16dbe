"""A generation's rows in Postgres → what Redis holds of it: to warm it, and to look whether they agree."""

from collections.abc import Iterator
from typing import Any

from recsys_assets.stores.cache import list_key, near_key, plan_key, popular_key, product_key
from recsys_assets.stores.postgres import Connection, query

CURSOR_ROWS = 2_000


def cached_values(connection: Connection, generation: int) -> Iterator[tuple[str, str]]:
    """Key and value of everything, as `stores.staging` makes them of frames; people are not filtered."""
    for name in ("popular", "products", "near", "lists", "plans"):
        for row in _streamed(connection, f"read/cached_{name}", generation):
            if row["value"]:
                yield _key(name, generation, row), row["value"]


def _key(name: str, generation: int, row: dict[str, Any]) -> str:
    if name == "popular":
        return popular_key(generation)
    if name in ("lists", "plans"):
        return (list_key if name == "lists" else plan_key)(generation, row["mark"].hex)
    return (product_key if name == "products" else near_key)(generation, row["product_id"])


def _streamed(connection: Connection, name: str, generation: int) -> Iterator[dict[str, Any]]:
    """Rows of a query, read by a cursor on the server: lists need not fit into our memory."""
    with connection.transaction(), connection.cursor("cached") as cursor:
        cursor.itersize = CURSOR_ROWS
        yield from cursor.execute(query(name).encode(), {"generation": generation})
