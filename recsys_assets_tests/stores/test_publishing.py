import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import psycopg
import pytest

from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.local.processes import wait_until
from recsys_assets.settings import CHECKOUT
from recsys_assets.stores import publishing, staging
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.postgres import PUBLISH_LOCK, Postgres
from recsys_assets.stores.publishing import Publisher, Staged, generations
from recsys_assets_tests.door import door
from recsys_assets_tests.published import DAY, ODD, Stores, frames
from recsys_assets_tests.serving.running import api, ask, ids

STEPS = ("leftovers", "hash", "stage", "check", "ready", "warm", "flip", "commit", "pointer", "retire", "end")

KILLED_AT = ("stage", "warm", "commit", "retire")


def partitions(stores: Stores) -> set[int]:
    """Generations that have a table."""
    return {int(name.rpartition("_")[2]) for name in stores.rows() if name[-1].isdigit()}


def cached(stores: Stores) -> set[int]:
    """Generations that have a key in Redis."""
    return {int(key.split(":")[1]) for key in stores.redis() if key.split(":")[1].isdigit()}


def there(stores: Stores) -> set[int]:
    """Generations that are said to be kept; none is half made."""
    known = stores.publisher.generations()
    assert not [g for g in known if g.state == "staging"]
    return {g.generation for g in known if g.state in ("live", "ready")}


def test_what_is_published_stands_in_both_stores(stores: Stores) -> None:
    assert generations(stores.postgres_url) == []
    made = stores.publish(["1", "2"])
    counts = {"lists": 2, "list_products": 6, "similar_items": 1, "next_items": 1, "popular_items": 6, "products": 3,
              "profiles": 2, "plans": 2, "copy_texts": 1}  # fmt: skip
    assert made.rows == counts
    assert (made.people, made.problems) == (2, [])
    assert list(made.seconds) == list(STEPS[:-1])
    (known,) = stores.publisher.generations()
    assert (known.generation, known.day, known.state, known.live) == (made.generation, DAY, "live", True)
    with psycopg.connect(stores.postgres_url) as connection:
        found = connection.execute(
            "SELECT product_id, rank, position, reason FROM live_lists ORDER BY person_key, rank LIMIT 3"
        )
        assert found.fetchall() == [("a", 1, 1, "why a"), ("b", 2, 2, "why b"), (ODD, 3, 3, f"why {ODD}")]
    assert stores.cache.whole(made.generation)


def test_views_leave_suppressed_people_out_even_where_their_rows_are_still_there(stores: Stores) -> None:
    stores.publish(["1", "2"])
    mark = stores.home.keys.mark(stores.key("1"))
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO suppressions (mark, kind, version) VALUES (%s, 'optout', 1)", [mark])
        for view in ("live_lists", "live_profiles", "live_plans", "live_offers"):
            keys = {row[0].hex for row in connection.execute(f"SELECT person_key FROM {view}")}
            assert keys == {stores.key("2")}, view


def test_a_failed_check_or_an_older_day_leaves_what_was_live(stores: Stores) -> None:
    first = stores.publish(["1"])
    publisher, made = stores.publisher, frames([stores.key("1")])

    def dull(staged: Staged) -> list[str]:
        assert (staged.day, staged.rows["lists"]) == (DAY, 1)
        return ["too dull"]

    with pytest.raises(RefusedError, match="too dull"):
        publisher.publish(DAY, made, model_version="2", check=dull, keep=2)
    with pytest.raises(RefusedError, match=r"only by `recsys run daily --day .* --publish`"):
        publisher.publish(DAY - timedelta(1), made, model_version="2", keep=2)
    without_redis = Publisher(Postgres(stores.postgres_url), Cache("redis://127.0.0.1:1/0"), stores.home.keys)
    with pytest.raises(RefusedError, match="too dull"):
        without_redis.publish(DAY, made, model_version="2", check=dull, keep=2)
    assert [(g.generation, g.state) for g in publisher.generations()] == [(3, "refused"), (2, "refused"), (1, "live")]
    assert partitions(stores) == cached(stores) == {first.generation}
    forced = publisher.publish(DAY - timedelta(1), made, model_version="2", keep=2, force=True)
    assert stores.live() == forced.generation


def test_frames_that_break_a_rule_are_refused_by_name(stores: Stores) -> None:
    good = frames([stores.key("1")])
    no_price = good.lists.with_columns(price_micros=pl.lit(0, pl.Int64))
    for lists, popular, message in (
        (pl.concat([good.lists, good.lists]), good.popular, "a product twice"),
        (no_price, good.popular, "without a price"),
        (good.lists.with_columns(position=pl.lit(None, pl.Int64)), good.popular, "no served product"),
    ):
        bad = replace(good, lists=lists, popular=popular)
        with pytest.raises(RefusedError, match=message):
            stores.publisher.publish(DAY, bad, model_version="1", keep=2)
    assert partitions(stores) == cached(stores) == set()


def test_a_short_copy_is_told_from_an_optout_meanwhile(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(step: str) -> None:
        if step == "check":
            stores.suppressions.optout(stores.key("1"))

    made = stores.publish(["1", "2"], progress=meanwhile)
    assert made.rows["lists"] == 1
    whole = staging.copy_lists
    monkeypatch.setattr(staging, "copy_lists", lambda *a: (piece.split(b"\n", 1)[1] for piece in whole(*a)))
    with pytest.raises(RefusedError, match="lists: COPY took 1 rows of 2"):
        stores.publish(["2", "3"])
    assert stores.live() == made.generation


def test_no_more_generations_are_kept_than_asked_for(stores: Stores) -> None:
    for n in range(4):
        stores.publish(["1"], f"p{n}", keep=2)
    assert [g.state for g in stores.publisher.generations()] == ["live", "ready", "retired", "retired"]
    assert partitions(stores) == cached(stores) == {3, 4}


def test_rollback_goes_back_and_back_and_to(stores: Stores) -> None:
    for n in range(4):
        stores.publish(["1"], f"p{n}", keep=3)
    publisher = stores.publisher
    assert publisher.rollback().generation.generation == 3
    done = publisher.rollback()
    assert (done.generation.generation, done.whole, done.problems) == (2, True, [])
    with api(stores.settings) as client:
        assert ids(ask(client, userId="1")) == ["p1"]
    with pytest.raises(NotFoundError, match="no earlier"):
        publisher.rollback()
    for gone in (1, 2, 99):
        with pytest.raises(NotFoundError, match=f"generation {gone} is not kept"):
            publisher.rollback(gone)
    assert publisher.rollback(4).generation.live
    stores.publish(["1"], "new", keep=3)
    assert stores.live() == 5


def test_a_generation_that_was_never_live_is_no_way_back(stores: Stores) -> None:
    stores.publish(["1"])
    stores.publish(["1"])
    with pytest.raises(KeyboardInterrupt):
        stores.publish(["1"], progress=dying_at("flip"))
    with pytest.raises(NotFoundError):
        stores.publisher.rollback(3)
    assert stores.publisher.rollback().generation.generation == 1


def dying_at(step: str) -> Any:
    def progress(at: str) -> None:
        if at == step:
            raise KeyboardInterrupt

    return progress


@contextmanager
def held_lock(stores: Stores) -> Iterator[None]:
    Postgres(stores.postgres_url).migrate()
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [PUBLISH_LOCK])
        yield


def test_one_publish_at_a_time(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "LOCK_SECONDS", 0.2)
    with held_lock(stores):
        for act in (lambda: stores.publish(["1"]), stores.publisher.rollback, stores.publisher.warm):
            with pytest.raises(RefusedError, match="another publish"):
                act()
    stores.publish(["1"])


def test_readers_of_old_lists_neither_stop_a_publish_nor_wait_for_it(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "DROP_SECONDS", 0.2)
    stores.publish(["1"], keep=2)
    stores.publish(["1"], keep=2)
    with psycopg.connect(stores.postgres_url) as report:
        report.execute("SELECT count(*) FROM lists")  # a transaction that stays open
        made = stores.publish(["1"], "new", keep=2)
        assert stores.live() == made.generation
        assert "lock timeout" in made.problems[0]
        assert stores.publisher.rollback(2).whole  # what could not be dropped is not said to be gone, nor the rest
    made = stores.publish(["1"], "newer", keep=2)
    assert made.problems == []
    assert partitions(stores) == cached(stores) == {2, 4}


def test_a_redis_that_goes_before_the_flip_refuses_and_after_it_is_told(stores: Stores) -> None:
    first = stores.publish(["1"])
    for step in STEPS[:-1]:
        with door(stores.redis_url) as (redis, url):
            seen = Stores(stores.home, stores.postgres_url, url)
            before = stores.live()

            def shut(at: str, last: str = step) -> None:
                if at == last:
                    redis.shut()

            if step in ("commit", "pointer", "retire"):
                made = seen.publish(["1"], step, progress=shut, keep=2)
                assert made.problems, step
                assert stores.live() == made.generation
            else:
                with pytest.raises(StoreError, match="Redis"):
                    seen.publish(["1"], step, progress=shut)
                assert stores.live() == before
    assert stores.live() != first.generation
    made = stores.publish(["1"], "last", keep=2)
    assert made.problems == []
    assert partitions(stores) == cached(stores) == there(stores)
    assert f'"generation": {made.generation}' in stores.redis()["recsys:pointer"]


def test_warm_streams_and_writes_what_publish_wrote(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_assets.stores.cached.CURSOR_ROWS", 2)
    users = [str(n) for n in range(7)]
    with pytest.raises(NotFoundError, match="nothing"):
        stores.publisher.warm()
    stores.publish(users)
    stores.suppressions.optout(stores.key("3"))
    before = {key: parsed(value) for key, value in stores.redis().items()}
    stores.cache._client.flushall()
    assert stores.publisher.warm() == 1 + 3 + 2 + 6 + 6
    assert {key: parsed(value) for key, value in stores.redis().items()} == before
    assert stores.publisher.warm() == 0
    with pytest.raises(NotFoundError, match="generation 9"):
        stores.publisher.warm(9)


def parsed(text: str) -> Any:
    found = json.loads(text) if text.startswith(("{", "[")) else text
    if isinstance(found, dict):
        found.pop("suppression_version", None)  # of the moment the pointer was copied
    return found


def test_a_redis_emptied_while_it_is_filled_is_not_called_whole(stores: Stores) -> None:
    def empty(step: str) -> None:
        stores.cache._client.flushall()

    cache = stores.cache
    cache.begin(1)
    cache._client.flushall()
    with pytest.raises(StoreError):
        cache.finish(1)
    made = stores.publish(["1"], progress=lambda step: empty(step) if step == "flip" else None)
    assert not stores.cache.whole(made.generation)
    with api(stores.settings) as client:
        assert ids(ask(client, userId="1")) == ["a", "b", ODD]


@pytest.mark.parametrize("step", STEPS)
def test_a_publish_that_is_interrupted_leaves_one_whole_generation(step: str, stores: Stores) -> None:
    first = stores.publish(["1"], "old")
    with pytest.raises(KeyboardInterrupt):
        stores.publish(["1"], "new", progress=dying_at(step))
    flipped = step in ("pointer", "retire", "end")
    assert (stores.live() != first.generation) is flipped
    stores.publish(["1"], "newest", keep=2)
    assert {g.state for g in stores.publisher.generations()} <= {"live", "ready", "retired"}
    assert partitions(stores) == cached(stores) == there(stores)


def test_sigkill_at_any_step_leaves_old_or_new_and_the_next_publish_cleans_up(stores: Stores) -> None:
    """The kill comes while the step works: a reader who asks all the time sees one whole generation or the other."""
    stores.publish(["1"], "0-a", "0-b")
    seen: set[tuple[str, ...]] = set()
    coming = begun(stores, 1)
    ended = threading.Event()
    with api(stores.settings) as client:

        def read() -> None:
            while not ended.wait(0.01):
                answer = ask(client, userId="1")
                seen.add((str(answer["fallback"]), *ids(answer)))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for n, step in enumerate(KILLED_AT, 1):
                before = stores.live()
                now, coming = coming, begun(stores, n + 1)  # the next one imports meanwhile
                kill_at(stores, step, now)
                after = stores.live()
                assert after is not None
                assert before is not None
                assert after - before in (0, 1)  # the generation before it, or its own
                (rows,) = [rows for name, rows in stores.rows().items() if name == f"lists_{after}"]
                assert any(f"{{{n}-a,{n}-b}}" in row for row in rows) is (after != before)
                made = stores.publish(["1"], f"{n}-a", f"{n}-b")
                assert made.problems == []
                assert partitions(stores) == cached(stores) == there(stores)
        finally:
            ended.set()
            reader.join()
            with coming:
                coming.kill()
    assert seen <= {("None", f"{n}-a", f"{n}-b") for n in range(len(KILLED_AT) + 1)}
    assert len(seen) > 1


def begun(stores: Stores, number: int) -> subprocess.Popen[str]:
    """A process that will publish; it waits for a word."""
    command = [sys.executable, "-m", "recsys_assets_tests.stores.publishing_process", "400"]
    return subprocess.Popen(
        [*command, f"{number}-a", f"{number}-b"],
        cwd=CHECKOUT,
        env={**os.environ, **stores.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_at(stores: Stores, step: str, publishing: subprocess.Popen[str]) -> None:
    with publishing as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert step + "\n" in process.stdout
        process.kill()
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        busy = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"

        def let_go() -> bool:
            return connection.execute(busy, [PUBLISH_LOCK]).fetchone() == (0,)

        assert wait_until(let_go, 10)


def test_a_new_database_beside_an_old_redis_starts_clean(stores: Stores) -> None:
    old = stores.cache
    old.begin(1)
    old.put([("recsys:1:list:" + "0" * 32, "{}"), ("recsys:1:popular", "[]")])
    old.finish(1)
    stores.publish(["1"])
    assert not any("0" * 32 in key for key in stores.redis())


def test_a_redis_that_evicts_is_refused(stores: Stores) -> None:
    client = stores.cache._client
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", 100_000_000)
    try:
        with pytest.raises(RefusedError, match="allkeys-lru"):
            stores.publish(["1"])
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    assert stores.live() is None
    stores.publish(["1"])
