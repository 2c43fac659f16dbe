"""What was told of products since the catalogue was read: sold out, restocked, repriced (table product_changes).

Order: the commit in Postgres, which every API process notices within a second by its version, then a copy in Redis,
for an API that starts without Postgres.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from recsys_assets.errors import StoreError
from recsys_assets.logic.product_changes import ProductChange, last_words
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import Connection, Postgres, rows, run
from recsys_assets.stores.suppressions import suppressing


@dataclass(frozen=True)
class Told:
    """What came of it: products changed, and those among them that the live catalogue does not know.

    ``cache_problem``: why Redis has no copy of it yet.
    """

    products: int
    unknown: tuple[str, ...]
    cache_problem: str | None


@dataclass(frozen=True)
class ToldChange:
    """One row of the table. ``holds``: readers see it, because the live generation is of an earlier day."""

    product_id: str
    day: date
    in_stock: bool | None
    price_micros: int | None
    changed_at: datetime
    holds: bool


class ProductChanges:
    """Changes of products, on one Postgres and one Redis."""

    def __init__(self, postgres: Postgres, cache: Cache) -> None:
        self._postgres, self._cache = postgres, cache

    def tell(self, changes: Iterable[ProductChange], day: date) -> Told:
        """Makes changes hold until a generation of ``day``, the shop's own, or of a later one is live; all or none.

        Of a product that is there twice the last word counts, for its stock and for its price. Changes that are older
        than every generation that is kept go.

        Raises:
            StoreError: Postgres does not answer; nothing has changed then.
        """
        told = last_words(changes)
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            with connection.transaction():
                _send(connection, told)
                unknown = tuple(row["product_id"] for row in rows(connection, "read/unknown_products"))
                # The version first: its row's lock lets two calls change products one after the other, not at once.
                run(connection, "publish/next_change_version")
                run(connection, "publish/change_products", {"day": day})
                run(connection, "publish/old_changes")
            return Told(len(told), unknown, self._copied(connection))

    def clear(self, products: Sequence[str] | None = None) -> Told:
        """Forgets what was told of ``products``, or of all: the catalogue speaks again.

        Raises:
            StoreError: Postgres does not answer; nothing has changed then.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            with connection.transaction():
                run(connection, "publish/next_change_version")
                if products is None:
                    gone = rows(connection, "publish/clear_all_changes")
                else:
                    gone = rows(connection, "publish/clear_changes", {"products": list(products)})
            there = {row["product_id"] for row in gone}
            unknown = tuple(product for product in dict.fromkeys(products or ()) if product not in there)
            return Told(len(there), unknown, self._copied(connection))

    def told(self) -> list[ToldChange]:
        """Everything that was told and is kept, by product and day.

        Raises:
            StoreError: Postgres does not answer.
        """
        self._postgres.migrate()
        with self._postgres.connect() as connection:
            return [ToldChange(**row) for row in rows(connection, "read/told_changes")]

    def _copied(self, connection: Connection) -> str | None:
        try:
            with suppressing(connection):
                copy_changes(connection, self._cache)
        except StoreError as error:
            return str(error)
        return None


def copy_changes(connection: Connection, cache: Cache) -> None:
    """What holds for the live generation → Redis.

    The suppression lock must be held, as for the copy of the pointer: else an older copy could replace a newer one.
    """
    cache.set_changes(changes_to_copy(connection))


def changes_to_copy(connection: Connection) -> dict[str, Any]:
    """What Redis has to say of the live generation's products."""
    version = int(rows(connection, "read/versions")[0]["change_version"])
    changed = rows(connection, "read/product_changes")
    return {"version": version, "products": {c["product_id"]: [c["in_stock"], c["price_micros"]] for c in changed}}


def _send(connection: Connection, told: Sequence[ProductChange]) -> None:
    """The changes as a table of the transaction; row by row, 20,000 of them would take a minute on a distant server."""
    connection.execute(
        "CREATE TEMP TABLE told (product_id text PRIMARY KEY, in_stock boolean, price_micros bigint) ON COMMIT DROP"
    )
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY told (product_id, in_stock, price_micros) FROM STDIN") as copy,
    ):
        for change in told:
            copy.write_row((change.product_id, change.in_stock, change.price_micros))
