"""What readers see now, read back from Postgres: what the next day's lists are compared with."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from recsys_assets.errors import StoreError
from recsys_assets.stores.postgres import Postgres, rows, schema_version


@dataclass(frozen=True)
class Live:
    """The live generation: ``people`` have a list that is not suppressed, ``model_version`` is ``recsys/<number>``.

    ``served`` has ``person_key``, ``product_id`` and ``price_micros`` of the first places of some of them, by person
    and place. Keys are drawn by a secret, so that the first ones by key are a fair sample.
    """

    generation: int
    day: date
    model_version: str
    people: int
    served: pl.DataFrame


def live_day(postgres_url: str) -> tuple[int, date] | None:
    """The live generation and its day; None before the first one.

    Raises:
        StoreError: Postgres does not answer.
    """
    with Postgres(postgres_url).connect() as connection:
        pointer = rows(connection, "read/pointer") if schema_version(connection) else []
    return (int(pointer[0]["generation"]), pointer[0]["day"]) if pointer else None


def live_words(postgres_url: str) -> str:
    """Which generation is live, for a message: read from the pointer, since what has failed may have moved it before.

    Never raises for a database that is away: that is what the message then says.
    """
    try:
        found = live_day(postgres_url)
    except StoreError:
        return "what is live is not known: Postgres does not answer"
    return f"generation {found[0]} for {found[1]} is live" if found else "nothing is live yet"


def live(postgres: Postgres, people: int, places: int) -> Live | None:
    """The live generation with the first ``places`` of at most ``people``; None before the first one.

    Raises:
        StoreError: Postgres does not answer.
    """
    with postgres.connect() as connection:
        if not schema_version(connection):
            return None
        pointer = rows(connection, "read/pointer")
        if not pointer:
            return None
        count = rows(connection, "read/live_people")[0]["people"]
        served = rows(connection, "read/live_served", {"people": people, "places": places})
    frame = pl.DataFrame(
        {
            "person_key": [row["person_key"].replace("-", "") for row in served],
            "product_id": [row["product_id"] for row in served],
            "price_micros": [row["price_micros"] for row in served],
        },
        schema={"person_key": pl.String, "product_id": pl.String, "price_micros": pl.Int64},
    )
    now = pointer[0]
    return Live(now["generation"], now["day"], now["model_version"], count, frame)
