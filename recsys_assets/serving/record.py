"""What only Postgres, the record, can answer."""

from typing import Any

from recsys_assets.serving.api import Api
from recsys_assets.serving.asking import ask
from recsys_assets.serving.pointer import fetch
from recsys_assets.serving.problems import ProblemError


async def record(api: Api, name: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a named query.

    Raises:
        ProblemError: 503, Postgres does not answer.
    """
    found = await ask(api.reader.postgres, lambda: fetch(api.pool, name, values))
    if found is None:
        away = ProblemError(503, "Postgres away", "Postgres does not answer, and nothing else knows this.")
        away.headers = {"Retry-After": "1"}
        raise away
    return found
