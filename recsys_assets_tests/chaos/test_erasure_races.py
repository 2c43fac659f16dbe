"""Erasures and opt-outs raced against whatever writes lists: none resurrects (promise 3).

50 rounds in the usual tests; `make chaos` sets CHAOS_ROUNDS. Each round is another person's wish, at another moment.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx

from recsys_assets.local.processes import wait_until
from recsys_assets.settings import Home
from recsys_assets.stores import receipts
from recsys_assets.stores.postgres import PERSON_TABLES, Postgres
from recsys_assets.stores.publishing import Published
from recsys_assets.stores.suppressions import Suppressed
from recsys_assets_tests.door import door
from recsys_assets_tests.older import OlderFile
from recsys_assets_tests.published import DAY, Stores, frames
from recsys_assets_tests.serving.running import api, ask
from recsys_assets_tests.stores.test_suppressions import traces, version

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "50"))
STEPS = ("leftovers", "stage", "check", "ready", "warm", "flip", "commit", "pointer", "retire")
STAYS = "somebody who stays"


class Watcher:
    """Asks one API process, all the time, for the lists of people who are gone; ``served`` is who was shown one."""

    def __init__(self, client: httpx.Client) -> None:
        self._client, self._ended = client, threading.Event()
        self.gone: list[str] = []
        self.served: list[str] = []
        self.asked = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            for user in self.gone[-3:]:
                self.look(user)

    def look(self, user: str) -> None:
        self.asked += 1
        if ask(self._client, userId=user)["fallback"] != "popular":
            self.served.append(user)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        for user in self.gone:
            self.look(user)


@contextmanager
def watching(stores: Stores) -> Iterator[Watcher]:
    """An API process that runs through it all."""
    with api(replace(stores.settings, api_reads=0)) as client:
        watcher = Watcher(client)
        try:
            yield watcher
        finally:
            watcher.end()
        assert watcher.asked > len(watcher.gone)
        assert watcher.served == []
        assert wait_until(lambda: ask(client, userId=STAYS)["fallback"] is None, 10)


class Race:
    """Rounds of one kind: their people, who are in every list that is published, and the dice."""

    def __init__(self, stores: Stores, rounds: int, seed: int) -> None:
        self.stores = stores
        self.people = [f"person {n}" for n in range(rounds)]
        self.everybody = [STAYS, *self.people]
        self.dice = random.Random(seed)
        self.receipts: list[str] = []
        for _ in range(2):
            self.publish()

    def publish(self, *, ago: int = 0, at: str = "", then: Callable[[], object] = str) -> Published:
        """Publishes everybody, from a lake that knows of no wish; ``then`` runs when the step ``at`` begins."""
        made = frames([self.stores.key(user) for user in self.everybody])
        return self.stores.publisher.publish(
            DAY - timedelta(ago), made, model_version="1", keep=3, force=True,
            progress=lambda step: then() if step == at else None,
        )  # fmt: skip

    def wish(self, n: int, stores: Stores | None = None) -> Suppressed:
        """The person of a round goes: two of three are erased, the third opts out."""
        found, key = (stores or self.stores).suppressions, self.stores.key(self.people[n])
        done = found.optout(key) if n % 3 == 2 else found.forget(key)
        self.receipts.append(done.receipt)
        return done

    def left(self, n: int) -> list[str]:
        """Rows and keys of the person of a round."""
        key = self.stores.key(self.people[n])
        mark = self.stores.home.keys.mark(key)
        return traces(self.stores, key, str(UUID(key)), f":list:{mark}", f":plan:{mark}")

    def check(self) -> None:
        """Every wish has the one receipt, which knows where the lists were."""
        assert len(set(self.receipts)) == len(self.people)
        assert len(self.stores.suppressions.marks()) == len(self.people)
        assert self.stores.cache.version() == version(self.stores)
        for receipt in self.receipts:
            found = receipts.find(Postgres(self.stores.postgres_url), receipt)
            assert found is not None
            stores = {f"Postgres {table}" for table in PERSON_TABLES} | {"Redis lists", "Redis plans"}
            assert stores <= {one.store for one in found.stores}


def of(kinds: int) -> int:
    return max(1, ROUNDS // kinds)


def hooked(race: Race, ago: Callable[[int], int]) -> None:
    """The wish comes when a step of a publish begins, and the publish goes on meanwhile."""
    with watching(race.stores) as watcher, ThreadPoolExecutor(1) as pool:
        for n, person in enumerate(race.people):
            reached = threading.Event()
            publishing = pool.submit(race.publish, ago=ago(n), at=STEPS[n % len(STEPS)], then=reached.set)
            assert reached.wait(60)
            threading.Event().wait(race.dice.random() / 50)
            race.wish(n)
            watcher.gone.append(person)
            publishing.result()
            assert race.left(n) == []
    race.check()


def test_publishes(stores: Stores) -> None:
    hooked(Race(stores, of(5), 1), lambda _: 0)


def test_backfills_of_older_days(stores: Stores) -> None:
    hooked(Race(stores, of(5), 2), lambda n: 1 + n % 3)


def beside(race: Race, act: Callable[[int], object]) -> None:
    """The wish and something else begin at once, or nearly."""
    with watching(race.stores) as watcher, ThreadPoolExecutor(1) as pool:
        for n, person in enumerate(race.people):
            doing = pool.submit(act, n)
            threading.Event().wait(race.dice.random() / 20)
            race.wish(n)
            watcher.gone.append(person)
            doing.result()
            assert race.left(n) == []
    race.check()


def test_warms(stores: Stores) -> None:
    race = Race(stores, of(5), 3)

    def act(n: int) -> None:
        live = stores.live()
        assert live is not None
        if n % 2:
            stores.cache._client.flushall()
        else:
            stores.cache.drop([live])
        stores.publisher.warm()

    beside(race, act)


def test_rollbacks(stores: Stores) -> None:
    race = Race(stores, of(5), 4)
    first, second = sorted(g.generation for g in stores.publisher.generations())
    beside(race, lambda n: stores.publisher.rollback(second if n % 2 else first) if n else stores.publisher.rollback())


def test_a_redis_restarted_from_an_older_file(home: Home, database: Callable[[], str], tmp_path: Path) -> None:
    own = OlderFile(tmp_path)
    own.valkey.start()
    try:
        with door(own.valkey.url) as (front, url):
            race = Race(Stores(home, database(), url), of(5), 5)
            with watching(race.stores) as watcher, ThreadPoolExecutor(1) as pool:
                for n, person in enumerate(race.people):
                    own.keep()
                    wishing = pool.submit(race.wish, n)
                    if n % 2:  # else the wish finds Redis gone, or goes while it is being told
                        wishing.result()
                        watcher.gone.append(person)
                    else:
                        threading.Event().wait(race.dice.random() / 50)
                    own.restart(front)  # in this thread: a server ends with the thread that started it
                    wishing.result()
                    if n % 2 == 0:
                        watcher.gone.append(person)
                    for _ in range(50):
                        watcher.look(person)
                    _mended(race, n)
                    assert race.left(n) == []
            race.check()
    finally:
        own.valkey.stop()


def _mended(race: Race, n: int) -> None:
    """Brings Redis up to date, by what comes next in a shop."""
    if n % 3 == 0:
        race.publish()
    else:
        race.stores.publisher.warm()
