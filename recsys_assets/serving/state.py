"""What one process knows of the stores, read anew every second."""

from contextlib import suppress

import structlog

from recsys_assets.errors import HomeError
from recsys_assets.serving.pointer import (
    POSTGRES_DOWN,
    REDIS_DOWN,
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


class State:
    """The live generation, which stores answer, and the tokens."""

    def __init__(self) -> None:
        self.live: Live | None = None
        self.tokens: tuple[Token, ...] = ()
        self.postgres = self.redis = self.stopping = False
        self.draining = False  # a SIGTERM has come: who spreads requests is to send them elsewhere
        self.refused: HomeError | None = None
        self._schema_known = False
        self._token_version: int | None = None

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: there is something to answer with, and no end in sight."""
        return self.live is not None and not self.draining and not self.stopping

    @property
    def tokens_known(self) -> bool:
        """Whether they could be read once: a start without Postgres knows none."""
        return self._token_version is not None

    async def first_look(self, pool: Pool, starts: Starts) -> None:
        """As `look`, after meeting the Redis that answers now, so that it is trusted at once."""
        with suppress(*REDIS_DOWN):
            await starts.meet()
        await self.look(pool, starts)

    async def look(self, pool: Pool, starts: Starts) -> None:
        """Reads the pointer again; keeps the last one where no store answers."""
        before, met = (self.live, self.postgres, self.redis), starts.met
        try:
            await self._check_schema(pool)
            if self.refused:
                self.live = None  # what a newer program has put into Redis may mean something else, too
                return
            found = await versions(pool)
            self.live = await from_postgres(pool, self.live, found.changes)
            if found.tokens != self._token_version:
                self.tokens = await tokens(pool)
                self._token_version = found.tokens
            self.postgres = True
        except POSTGRES_DOWN:
            self.postgres = False
        starts.trust(met)
        try:
            await starts.meet()
            self.redis = True
            if self.live is None and not self.postgres:
                self.live = await from_redis(starts.cache)
        except REDIS_DOWN:
            self.redis = False
        self._report(*before)

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
