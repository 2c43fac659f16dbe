"""A Redis that was restarted, from a newer or an older file, with and without Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from recsys_assets.errors import StoreError
from recsys_assets.local.processes import wait_until
from recsys_assets.serving import app
from recsys_assets_tests.door import Door, door
from recsys_assets_tests.older import OlderFile
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask, await_health, served
from recsys_assets_tests.stores.test_suppressions import version


@contextmanager
def behind_doors(stores: Stores, folder: Path) -> Iterator[tuple[Stores, Door, Door, OlderFile]]:
    """Stores with a Redis of their own, both behind doors; 1 has opted out, and the Redis knows, but not its file."""
    own = OlderFile(folder)
    own.valkey.start()
    try:
        with door(own.valkey.url) as (redis, redis_url), door(stores.postgres_url) as (postgres, url):
            ours = Stores(stores.home, url, redis_url)
            ours.publish(["1", "2", "3"])
            own.keep()
            ours.suppressions.optout(ours.key("1"))
            yield ours, postgres, redis, own
    finally:
        own.valkey.stop()


def fallbacks(client: httpx.Client, *users: str) -> list[str | None]:
    return [ask(client, userId=user)["fallback"] for user in users]


def test_a_new_start_is_not_read_before_the_pointer_is(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the second between two readings a process does not know yet that an older Redis lags."""
    monkeypatch.setattr(app, "POINTER_SECONDS", 3600)
    with behind_doors(stores, tmp_path) as (ours, _, redis, own), api(ours.settings) as client:
        own.keep()
        assert fallbacks(client, "1", "2", "3") == ["popular", None, None]
        ours.suppressions.forget(ours.key("2"))
        own.restart(redis)
        assert fallbacks(client, "2", "1", "3") == ["popular", "popular", None]  # Postgres answers


def test_who_has_seen_a_newer_version_leaves_an_older_redis_alone(stores: Stores, tmp_path: Path) -> None:
    with behind_doors(stores, tmp_path) as (ours, postgres, redis, own):
        made = app.create(ours.settings)
        with served(made) as client:
            assert made.state.api.state.live.suppression_version == version(stores)
            postgres.shut()
            own.restart(redis)
            await_health(client, postgres="away", redis="ok")
            for _ in range(20):
                assert fallbacks(client, "1", "2") == ["popular", "popular"]
            postgres.open()
            assert wait_until(lambda: fallbacks(client, "2") == [None], 20)
            assert fallbacks(client, "1") == ["popular"]


def test_a_redis_that_comes_back_as_it_was_serves_without_postgres(stores: Stores, tmp_path: Path) -> None:
    with behind_doors(stores, tmp_path) as (ours, postgres, redis, own), api(ours.settings) as client:
        own.keep()
        postgres.shut()
        own.restart(redis)
        assert wait_until(lambda: fallbacks(client, "2") == [None], 20)
        assert fallbacks(client, "1") == ["popular"]


def test_who_starts_without_postgres_trusts_no_redis_that_was_restarted(stores: Stores, tmp_path: Path) -> None:
    with behind_doors(stores, tmp_path) as (ours, postgres, redis, own):
        postgres.shut()
        with api(ours.settings) as client:
            assert fallbacks(client, "1", "2") == ["popular", None]
        own.restart(redis)
        with api(ours.settings) as client:
            for _ in range(20):
                assert fallbacks(client, "1", "2") == ["popular", "popular"]
            postgres.open()
            assert wait_until(lambda: fallbacks(client, "2") == [None], 20)
            assert fallbacks(client, "1") == ["popular"]


def test_a_redis_that_was_restarted_while_it_was_told_is_not_trusted(stores: Stores) -> None:
    stores.publish(["1"])
    before = stores.cache.version()
    with pytest.raises(StoreError, match="restarted while it was told"):
        stores.cache.set_version(99, "another start")
    assert stores.cache.version() == before
    stores.cache.set_version(99, stores.cache.start())
    assert stores.cache.version() == 99
