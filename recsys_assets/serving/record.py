"""What only Postgres, the record, can answer."""

from typing import Any

from recsys_assets.serving.api import Api
from recsys_assets.serving.pointer import POSTGRES_DOWN, fetch
from recsys_assets.serving.problems import ProblemError


async def record(api: Api, name: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a named query.

    Raises:
        ProblemError: 503, Postgres does not answer.
    """
    breaker = api.reader.postgres
    if breaker.closed():
        try:
            found = await fetch(api.pool, name, values)
        except POSTGRES_DOWN:
            breaker.trip()
        else:
            breaker.mend()
            return found
    away = ProblemError(503, "Postgres away", "Postgres does not answer, and nothing else knows this.")
    away.headers = {"Retry-After": "1"}
    raise away
