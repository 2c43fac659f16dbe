"""What one process knows of the stores, read anew every second."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

import structlog

from recsys_assets.errors import HomeError
from recsys_assets.serving.asking import StoreFailedError, within
from recsys_assets.serving.pointer import (
    LOOK_SECONDS,
    NEVER,
    Live,
    Pool,
    Token,
    from_postgres,
    from_redis,
    refuse_newer_schema,
    tokens,
    versions,
)
from recsys_assets.serving.starts import Starts

_log = structlog.stdlib.get_logger(__name__)

TOKEN_SECONDS = 30.0  # that tokens are taken while Postgres does not say whether they were revoked
STALE_SECONDS = 5.0  # of a look that comes every second: whoever has not looked for so long knows nothing of now
SLOW_SECONDS = 0.2  # a look takes a few milliseconds


class State:
    """The live generation, which stores answer, and the tokens."""

    def __init__(self) -> None:
        self.live: Live | None = None
        self.tokens: tuple[Token, ...] = ()
        self.postgres = self.redis = self.stopping = False
        self.draining = False  # a SIGTERM has come: who spreads requests is to send them elsewhere
        self.refused: HomeError | None = None
        self.seconds = {"postgres": 0.0, "redis": 0.0}  # that the last look at each took
        self._schema_known = False
        self._token_version: int | None = None
        self._began = time.monotonic()
        self._looked = self._told = self._began  # when stores were looked at, and when Postgres told the pointer

    @property
    def look_age(self) -> float:
        """Seconds since the stores were last looked at, whether they answered or not."""
        return time.monotonic() - self._looked

    @property
    def pointer_age(self) -> float:
        """Seconds since Postgres last told the pointer; before it ever has, since the process began."""
        return time.monotonic() - self._told

    @property
    def stale(self) -> bool:
        """Whether this process has stopped looking, so that it knows nothing of opt-outs and flips since."""
        return self.look_age > STALE_SECONDS

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: there is something to answer with, and no end in sight."""
        return self.live is not None and not self.stale and not self.draining and not self.stopping

    @property
    def tokens_known(self) -> bool:
        """Whether they are those of now: not at a start without Postgres, nor when it has been away for a while."""
        return self._token_version is not None and not self.stale and self.pointer_age <= TOKEN_SECONDS

    def served(self) -> Live | None:
        """What is live. To who has stopped looking no Redis is trusted with people: an opt-out may have passed by."""
        if self.live is not None and self.stale:
            return replace(self.live, suppression_version=NEVER)
        return self.live

    def store(self, name: str) -> str:
        """How a store answered last: ok, slow or away."""
        if not {"postgres": self.postgres, "redis": self.redis}[name]:
            return "away"
        return "slow" if self.seconds[name] > SLOW_SECONDS else "ok"

    async def first_look(self, pool: Pool, starts: Starts) -> None:
        """As `look`, after meeting the Redis that answers now, so that it is trusted at once."""
        with suppress(StoreFailedError):
            await starts.meet()
        await self.look(pool, starts)

    async def look(self, pool: Pool, starts: Starts) -> None:
        """Reads the pointer again; keeps the last one where no store answers."""
        before, met, began = (self.live, self.postgres, self.redis), starts.met, time.monotonic()
        with within(LOOK_SECONDS):  # both at once: one that hangs must not hide for long that the other is away
            self.postgres, self.redis = await asyncio.gather(
                self._answers("postgres", self._read_postgres(pool)), self._answers("redis", starts.meet())
            )
        if self.refused:
            self.live = None  # what a newer program has put into Redis may mean something else, too
            return
        starts.trust(met)
        if self.live is None and self.redis and not self.postgres:
            self.redis = await self._answers("redis", self._read_redis(starts))
        self._looked = began
        self._report(*before)

    async def _answers(self, name: str, reading: Awaitable[None]) -> bool:
        began = time.monotonic()
        try:
            await reading
        except StoreFailedError:
            return False
        finally:
            self.seconds[name] = time.monotonic() - began
        return True

    async def _read_postgres(self, pool: Pool) -> None:
        await self._check_schema(pool)
        if self.refused:
            return
        began = time.monotonic()
        found = await versions(pool)
        self.live = await from_postgres(pool, self.live, found.changes)
        if found.tokens != self._token_version:
            self.tokens = await tokens(pool)
            self._token_version = found.tokens
        self._told = began

    async def _read_redis(self, starts: Starts) -> None:
        self.live = await from_redis(starts.cache)

    async def _check_schema(self, pool: Pool) -> None:
        """Once, when Postgres answers first: one that a newer program has changed is left alone."""
        if not self._schema_known:
            try:
                await refuse_newer_schema(pool)
            except HomeError as error:
                self.refused = error
                _log.error("schema refused", reason=str(error))
            self._schema_known = True

    def _report(self, live: Live | None, postgres: bool, redis: bool) -> None:
        for name, was, now in (("postgres", postgres, self.postgres), ("redis", redis, self.redis)):
            if was != now:
                (_log.info if now else _log.warning)("store answers" if now else "store away", store=name)
        if self.live is not None and (live is None or live.generation != self.live.generation):
            _log.info(
                "generation live", generation=self.live.generation, day=self.live.day.isoformat(),
                model_version=self.live.model_version, source="postgres" if self.postgres else "redis",
            )  # fmt: skip
