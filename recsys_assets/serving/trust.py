"""Before anything is read: are the servers those that the settings trust?"""

import psycopg
import redis
import structlog
from redis.asyncio import Redis

from recsys_assets.errors import SettingsError
from recsys_assets.serving.asking import StoreFailedError, asking
from recsys_assets.settings import Settings
from recsys_assets.stores.trust import untrusted

CONNECT_SECONDS = 3.0
_log = structlog.stdlib.get_logger(__name__)


async def refuse_untrusted(settings: Settings, cache: Redis) -> None:
    """Nothing, where the servers' certificates are those that the URLs ask for, or a server is away.

    Raises:
        SettingsError: one is not; the log says so, too, because a server's start hides the messages of errors.
    """
    if refused := await _postgres(settings) or await _redis(settings, cache):
        _log.error("server refused", reason=str(refused))
        raise refused


async def _postgres(settings: Settings) -> SettingsError | None:
    if "sslmode=" in settings.postgres_url:
        try:
            async with asking(CONNECT_SECONDS):
                await (await psycopg.AsyncConnection.connect(settings.postgres_url, connect_timeout=2)).close()
        except StoreFailedError as failed:
            if isinstance(failed.__cause__, psycopg.OperationalError):
                return untrusted("RECSYS_POSTGRES_URL", failed.__cause__)
    return None


async def _redis(settings: Settings, cache: Redis) -> SettingsError | None:
    if settings.redis_url.startswith("rediss://"):
        try:
            async with asking(CONNECT_SECONDS):
                await cache.ping()
        except StoreFailedError as failed:
            if isinstance(failed.__cause__, redis.RedisError):
                return untrusted("RECSYS_REDIS_URL", failed.__cause__)
    return None
