import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from recsys_assets.errors import RefusedError, StoreError
from recsys_assets.local.processes import free_port, wait_until
from recsys_assets.stores import suppressions
from recsys_assets.stores.cache import marker_key
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask

ROUNDS = 20


def traces(stores: Stores, *words: str) -> list[str]:
    """Where words stand, in any key or value of Redis and in any row of Postgres."""
    texts = [f"redis {key} {value}" for key, value in stores.redis().items()]
    texts += [f"postgres {table} {row}" for table, rows in stores.rows().items() for row in rows]
    return [text for text in texts if any(word in text for word in words)]


def version(stores: Stores) -> int:
    with psycopg.connect(stores.postgres_url) as connection:
        found = connection.execute("SELECT suppression_version FROM live").fetchone()
    assert found is not None
    return int(found[0])


def test_an_optout_removes_all_generations_and_an_optin_lets_the_next_publish(stores: Stores) -> None:
    users = ["1", "2"]
    stores.publish(users)
    stores.publish(users)
    key = stores.key("1")
    done = stores.suppressions.optout(key)
    assert (done.lists, done.profiles, done.plans, done.erased, done.cache_problem) == (2, 2, 2, False, None)
    assert (done.cached, done.cached_plans) == (2, 2)
    again = stores.suppressions.optout(key)
    assert (again.lists, again.profiles, again.plans, again.since) == (0, 0, 0, done.since)
    assert (again.cached, again.cached_plans) == (0, 0)
    assert stores.suppressions.marks() == {stores.home.keys.mark(key)}
    assert stores.publish(users).rows["lists"] == 1
    assert traces(stores, key, str(UUID(key))) == []
    back = stores.suppressions.optin(key)
    assert (back.was_out, back.cache_problem) == (True, None)
    assert not stores.suppressions.optin(key).was_out
    assert stores.suppressions.marks() == set()
    assert marker_key(stores.home.keys.mark(key)) not in stores.redis()
    assert stores.cache.version() == version(stores)
    assert stores.publish(users).rows["lists"] == 2


def test_forget_leaves_the_mark_and_nothing_else(stores: Stores) -> None:
    user = "somebody@example.org"
    key, mark = stores.key(user), stores.home.keys.mark(stores.key(user))
    words: tuple[str, ...] = (user, key, str(UUID(key)))
    made = stores.publish([user, "2"])
    list_id = next(row for row in stores.rows()[f"lists_{made.generation}"] if str(UUID(key)) in row).split(",")[3]
    words += (list_id, list_id.replace("-", ""))
    words += (f":plan:{mark}",)
    # The list, the profile and the plan, each in its table and in the parent, the cached list and the cached plan.
    assert len(traces(stores, *words)) == 2 + 2 + 2 + 1 + 1
    stores.publish([user, "2"])
    done = stores.suppressions.forget(key)
    assert done.erased
    assert traces(stores, *words) == []
    stores.publish([user, "2"])  # from a lake that still holds the person
    assert traces(stores, *words) == []
    stores.publisher.rollback()
    stores.cache._client.flushall()
    stores.publisher.warm()
    assert traces(stores, *words) == []
    left = traces(stores, mark, str(UUID(mark)))
    assert sorted(" ".join(text.split()[:2]) for text in left) == [
        "postgres receipts",
        "postgres suppressions",
        f"redis {marker_key(mark)}",
    ]
    with pytest.raises(RefusedError, match="erased"):
        stores.suppressions.optin(key)
    assert stores.suppressions.optout(key).erased  # an erasure stays one


def test_optouts_race_publishes_and_win(stores: Stores) -> None:
    users = [str(n) for n in range(ROUNDS)]
    stores.publish(users, keep=3)
    steps = ("stage", "check", "ready", "warm", "flip", "commit", "pointer", "retire")
    with api(stores.settings) as client, ThreadPoolExecutor(1) as pool:
        for n, user in enumerate(users):
            reached = threading.Event()

            def progress(at: str, until: str = steps[n % len(steps)], reached: threading.Event = reached) -> None:
                if at == until:
                    reached.set()

            publishing = pool.submit(stores.publish, users, keep=3, progress=progress)
            assert reached.wait(30)
            done = stores.suppressions.optout(stores.key(user))
            assert done.cache_problem is None
            assert ask(client, userId=user)["fallback"] == "popular"
            publishing.result()
            assert ask(client, userId=user)["fallback"] == "popular"
            key = stores.key(user)
            mark = stores.home.keys.mark(key)
            assert traces(stores, key, str(UUID(key)), f":list:{mark}", f":plan:{mark}") == []
    assert stores.live() == ROUNDS + 1
    assert stores.cache.version() == version(stores) == ROUNDS


def test_two_wishes_at_once_are_both_applied(stores: Stores) -> None:
    users = [str(n) for n in range(8)]
    stores.publish(users)
    wishes = [threading.Thread(target=stores.suppressions.optout, args=(stores.key(user),)) for user in users]
    for wish in wishes:
        wish.start()
    for wish in wishes:
        wish.join()
    assert stores.cache.version() == version(stores) == 8
    assert not any(":list:" in key or ":plan:" in key for key in stores.redis())


@contextmanager
def full(stores: Stores) -> Iterator[None]:
    """Redis has no memory left: it reads and deletes, and takes nothing new."""
    client = stores.cache._client
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which what is served does not hang on the time that an opt-out waits."""
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.1)


@pytest.mark.usefixtures("hasty")
def test_an_optout_deletes_from_a_redis_that_is_full(stores: Stores) -> None:
    stores.publish(["1", "2"])
    key, mark = stores.key("1"), stores.home.keys.mark(stores.key("1"))
    with api(stores.settings) as client:
        assert ask(client, userId="1")["fallback"] is None
        with full(stores):
            done = stores.suppressions.optout(key)
            assert (done.lists, done.cached) == (1, 1)
            assert "memory" in str(done.cache_problem)
            assert traces(stores, f":list:{mark}", f":plan:{mark}") == []
            assert ask(client, userId="1")["fallback"] == "popular"
            assert ask(client, userId="2")["fallback"] is None
            with pytest.raises(StoreError, match="memory"):
                stores.publish(["1", "2"])
        assert ask(client, userId="1")["fallback"] == "popular"
        stores.publisher.warm()
        assert stores.cache.version() == version(stores)
        assert marker_key(mark) in stores.redis()


@pytest.mark.usefixtures("hasty")
def test_a_redis_that_was_away_is_brought_up_to_date_by_whatever_comes_next(stores: Stores) -> None:
    for mend in (
        lambda: stores.publish(["1", "2", "3"]),
        stores.publisher.warm,
        stores.publisher.rollback,
        lambda: stores.suppressions.optin(stores.key("other")) and stores.suppressions.optout(stores.key("other")),
    ):
        stores.cache._client.flushall()
        for user in ("1", "2"):
            stores.suppressions.optin(stores.key(user))
        stores.publish(["1", "2", "3"])
        stores.publish(["1", "2", "3"])
        stores.suppressions.optout(stores.key("2"))
        with door(stores.redis_url) as (redis, url):
            ours = Stores(stores.home, stores.postgres_url, url)
            redis.shut()
            assert ours.suppressions.optout(stores.key("1")).cache_problem is not None
            assert ours.suppressions.optin(stores.key("2")).cache_problem is not None
        assert stores.cache.version() != version(stores)
        mend()
        assert stores.cache.version() == version(stores)
        marks = {marker_key(mark) for mark in stores.suppressions.marks()}
        assert {key for key in stores.redis() if ":out:" in key} == marks
        assert marker_key(stores.home.keys.mark(stores.key("1"))) in marks
        mark = stores.home.keys.mark(stores.key("1"))
        assert traces(stores, f":list:{mark}", f":plan:{mark}") == []


def test_a_sweep_takes_what_a_killed_publish_has_left(stores: Stores) -> None:
    users = [str(n) for n in range(3)]
    stores.publish(users)
    key, mark = stores.key("0"), stores.home.keys.mark(stores.key("0"))

    class KilledError(Exception):
        pass

    def progress(step: str) -> None:
        if step == "ready":  # its rows were written before the wish
            stores.suppressions.forget(key)
        if step == "flip":
            raise KilledError

    with pytest.raises(KilledError):
        stores.publish(users, progress=progress)
    words = (key, str(UUID(key)), f":list:{mark}", f":plan:{mark}")
    assert len(traces(stores, *words)) == 2  # Redis was filled after the wish; nobody reads it, but there it is
    assert stores.suppressions.sweep([mark]) == [
        ("Postgres lists", 0), ("Postgres profiles", 0), ("Postgres plans", 0), ("Redis lists", 1), ("Redis plans", 1),
    ]  # fmt: skip
    assert traces(stores, *words) == []


def test_a_sweep_waits_for_the_publish_that_runs(stores: Stores) -> None:
    stores.publish(["1"])
    key, mark = stores.key("1"), stores.home.keys.mark(stores.key("1"))
    stores.suppressions.forget(key)
    with ThreadPoolExecutor(1) as pool:
        swept = []

        def progress(step: str) -> None:
            if step == "stage":
                swept.append(pool.submit(stores.suppressions.sweep, [mark]))
            if step == "retire":
                assert wait_until(lambda: waiting(stores) == 1, 20)
                assert not swept[0].done()

        stores.publish(["1"], progress=progress)
        assert swept[0].result()


def waiting(stores: Stores) -> int:
    """Connections that wait for a lock."""
    with psycopg.connect(stores.postgres_url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
        return int((found.fetchone() or (0,))[0])


def test_without_postgres_nothing_is_promised_and_nothing_is_done(stores: Stores) -> None:
    stores.publish(["1"])
    before = stores.redis()
    nowhere = Stores(stores.home, f"postgresql://app@127.0.0.1:{free_port()}/none", stores.redis_url)
    for act in (nowhere.suppressions.optout, nowhere.suppressions.forget, nowhere.suppressions.optin):
        with pytest.raises(StoreError, match="RECSYS_POSTGRES_URL"):
            act(stores.key("1"))
    assert stores.redis() == before
