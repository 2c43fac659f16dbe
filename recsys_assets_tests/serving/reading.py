"""The internal list, asked as the routes ask it, on real stores and without HTTP."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from redis.asyncio import Redis

from recsys_assets.serving.asking import StoreFailedError
from recsys_assets.serving.pointer import Live, from_postgres, from_redis, make_pool, versions
from recsys_assets.serving.recommendations import Answer, Reader, Wanted
from recsys_assets.settings import Home
from recsys_assets_tests.published import Stores

Given = TypeVar("Given")


class Asking:
    """One process's reader; ``look`` reads again what is live, as it does every second."""

    def __init__(self, home: Home, runner: asyncio.Runner, pool: Any, cache: Any) -> None:
        self._runner, self._pool, self._cache = runner, pool, cache
        self.keys, self.reader = home.keys, Reader(pool, cache, home.keys, home.config.tuning)
        self._live: Live | None = None

    def run(self, waiting: Coroutine[Any, Any, Given]) -> Given:
        return self._runner.run(waiting)

    def look(self) -> None:
        async def found() -> Live | None:
            try:
                return await from_postgres(self._pool, self._live, (await versions(self._pool)).changes)
            except StoreFailedError:
                return await from_redis(self._cache)

        self._live = self.run(found())

    @property
    def live(self) -> Live:
        assert self._live is not None
        return self._live

    def answer(self, *users: str, **wanted: Any) -> Answer:
        """The list of the first of ``users``, who are ids."""
        return self.run(self.reader.answer(self.live, Wanted(tuple(map(self.keys.user_key, users)), **wanted)))

    def many(self, users: list[str], **wanted: Any) -> list[Answer]:
        return self.run(self.reader.many(self.live, list(map(self.keys.user_key, users)), Wanted(**wanted)))


@contextmanager
def asking(stores: Stores) -> Iterator[Asking]:
    """A reader on real stores."""
    with asyncio.Runner() as runner:

        async def opened() -> tuple[Any, Any]:
            pool = make_pool(stores.postgres_url)
            await pool.open(wait=False)
            return pool, Redis.from_url(stores.redis_url, socket_timeout=2)

        pool, cache = runner.run(opened())
        try:
            made = Asking(stores.home, runner, pool, cache)
            made.look()
            yield made
        finally:
            runner.run(pool.close())
            runner.run(cache.aclose())


def ids(answer: Answer) -> list[str]:
    return [product["id"] for product in answer.products]
