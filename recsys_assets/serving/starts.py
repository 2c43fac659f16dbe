"""Redis as the API reads it: only from a start of the server that was met before the pointer was last read.

A Redis that was restarted from an older file holds the lists of who has been erased since, and a version of the
suppressions that is as old. The pointer, reread every second, says that it lags; a process that has not reread it since
the erasure cannot see that. So a start (Redis gives each an id) that was not met before the pointer was last read is
refused, and Postgres answers for a second. In the races Redis served an erased person in one of two rounds without this
and in none with it.

The limit: while Postgres is away there is no pointer to read, and a new start is trusted after a look, or nobody would
have a list after a restart of Redis. So a wish made after this process last read the pointer is not known to it where
Redis comes back from a file of before that wish, until Postgres answers. A Redis that lags behind what was read is
refused all the same.
"""

from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from recsys_assets.serving.asking import asking
from recsys_assets.stores.cache import RETRIES

TIMEOUT_SECONDS = 0.25
MOST_CONNECTIONS = 1_000  # by default redis-py has no more than 100 reads at once
_ID = "run_id"


class Starts:
    """Connections to one Redis: ``cache`` to read lists from, and one that looks which start of it answers."""

    def __init__(self, url: str) -> None:
        self._met: set[str] = set()
        self._known: set[str] = set()
        self._scout = _client(url)
        self.cache = _client(url, redis_connect_func=self._connected)

    @property
    def met(self) -> frozenset[str]:
        """Starts met so far: to be trusted once the pointer, whose reading begins after this, has been read."""
        return frozenset(self._met)

    def trust(self, met: frozenset[str]) -> None:
        """From now on lists are read from these starts."""
        self._known |= met

    async def meet(self) -> None:
        """Raises StoreFailedError where no start answers."""
        async with asking(2 * TIMEOUT_SECONDS):
            try:
                found = await self._scout.info("server")
            except redis.ResponseError:  # it may not be asked, and every start is the same to us
                found = {}
        self._met.add(str(found.get(_ID, "")))

    async def aclose(self) -> None:
        """Ends the connections."""
        await self.cache.aclose()
        await self._scout.aclose()

    async def _connected(self, connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        try:
            lines = bytes(await connection.read_response()).decode().splitlines()
        except redis.ResponseError:
            lines = []
        found = next((line.partition(":")[2] for line in lines if line.startswith(_ID)), "")
        if found not in self._known:
            self._met.add(found)
            raise redis.ConnectionError("a new start of Redis: the pointer is read first")


def _client(url: str, **more: Any) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), RETRIES),
        max_connections=MOST_CONNECTIONS,
        **more,
    )
