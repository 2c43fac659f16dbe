"""A shop whose API, Postgres and Valkey run as processes of their own, with a door before each store."""

import itertools
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import psycopg

from recsys_assets.errors import RefusedError, StoreError
from recsys_assets.local import up
from recsys_assets.local.postgres import Postgres
from recsys_assets.local.processes import Child, born, free_port, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets.settings import Home, load_settings
from recsys_assets.stores.publishing import Frames
from recsys_assets.tables import CATALOG, LISTS, NEXT_ITEMS, POPULAR_ITEMS, SIMILAR_ITEMS, USER_PROFILES
from recsys_assets_tests.chaos.reading import POPULAR, Reader, products
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.door import Door, door
from recsys_assets_tests.older import OlderFile
from recsys_assets_tests.published import DAY, Stores, frame
from recsys_assets_tests.serving.asked import UNLIMITED
from recsys_assets_tests.serving.shop import token

STAYING = [f"stays{n}" for n in range(60)]
GOING = [f"goes{n}" for n in range(240)]
HEALTHY_READS = 20  # in a row, after which a fault counts as healed
HEAL_SECONDS, START_SECONDS = 30.0, 90.0  # the most; how soon it has to be is said where it is asserted


def made(of: str, keys: dict[str, str]) -> Frames:
    """What a publish of this label holds: other products for everybody. ``keys`` by user."""
    lists = [
        {"person_key": key, "rank": n, "position": n, "product_id": product, "score": 1 / n, "price_micros": 10,
         "category": "x", "reason_code": "code", "reason_count": n, "reason": "why", "purchased": False,
         "model_source": "als", "confidence": 0.5}
        for user, key in keys.items() for n, product in enumerate(products(of, user), 1)
    ]  # fmt: skip
    popular = [
        {"category": "", "rank": n, "product_id": product, "score": 1.0, "buyers": 9, "price_micros": 10,
         "reason": "Popular"}
        for n, product in enumerate(products(of, POPULAR), 1)
    ]  # fmt: skip
    sold = [row["product_id"] for row in lists + popular]
    catalog = [{"product_id": p, "category": "x", "unit_price_micros": 10, "in_stock": True} for p in sold]
    return Frames(
        frame(LISTS, lists), SIMILAR_ITEMS.empty(), NEXT_ITEMS.empty(), frame(POPULAR_ITEMS, popular),
        frame(CATALOG, catalog), frame(USER_PROFILES, [{"person_key": key} for key in keys.values()]),
    )  # fmt: skip


def everybody(stores: Stores) -> dict[str, str]:
    """Key by user; those who are gone too, whom the stores have to leave out."""
    return {user: stores.key(user) for user in STAYING + GOING}


class Shop:
    """``stores`` are reached directly, the API reaches them through the doors."""

    def __init__(
        self, home: Home, folder: Path, postgres: Postgres, older: OlderFile, fronts: tuple[Door, Door]
    ) -> None:
        self.home, self.folder, self.postgres, self.older = home, folder, postgres, older
        self.valkey = older.valkey
        self.postgres_door, self.redis_door = fronts
        self.port = free_port()
        self.gone: dict[str, float] = {}  # people whose wish was accepted, and when (perf_counter)
        self.dice = random.Random(1)
        self._numbers = itertools.count(1)
        self._going = itertools.cycle(GOING)
        self.published = ""  # label of the last publish
        self.rows_sent = self.rows_lost = 0  # of event files
        self._bearer = token(self.stores, "writes")
        self.api = self.start("api")

    @property
    def stores(self) -> Stores:
        return Stores(self.home, self.postgres.url("postgres"), self.valkey.url)

    @property
    def doors(self) -> tuple[Door, Door]:
        return self.postgres_door, self.redis_door

    def new_label(self) -> str:
        return f"g{next(self._numbers)}"

    def publish(self) -> None:
        """Another generation, past the doors."""
        of = self.new_label()
        self.stores.publisher.publish(DAY, made(of, everybody(self.stores)), model_version="1", keep=3)
        self.published = of

    # The API.

    def start(self, name: str) -> Child:
        """One of `up.PROGRAMS`, as `recsys up` starts it; it reaches the stores through the doors."""
        seen = {
            "RECSYS_POSTGRES_URL": _through(self.stores.postgres_url, self.postgres_door),
            "RECSYS_REDIS_URL": _through(self.stores.redis_url, self.redis_door),
        }
        settings = load_settings(self.stores.environment | UNLIMITED | seen | {"RECSYS_API_PORT": str(self.port)})
        with servers(settings, self.home) as found:
            environment = platform_environment(settings, self.home, found) | UNLIMITED
        (wanted,) = (one for one in up._services(settings, self.home, environment) if one.program.name == name)
        return Child(wanted.program)

    def restart_api(self) -> None:
        """It is killed, and another one is started in its place, which may not answer yet."""
        kill(self.api.pid)
        self.api.stop()
        self.api = self.start("api")

    def close(self) -> None:
        self.api.stop()

    def client(self) -> httpx.Client:
        """One that may write."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, headers=self._bearer)

    def health(self) -> dict[str, Any]:
        """What the API says of itself; nothing where it does not answer."""
        try:
            found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/health", timeout=2).json()
        except httpx.TransportError:
            return {"status": "no answer"}
        return found

    def heal(self, reader: Reader) -> float | None:
        """Seconds until readers are shown their own newest lists and the API says that all is well; None: never."""
        began = perf_counter()
        reader.expect(self.published)

        def healed() -> bool:
            return reader.in_a_row >= HEALTHY_READS and self.health()["status"] == "ok"

        if wait_until(healed, HEAL_SECONDS):
            return perf_counter() - began
        reader.note(f"not healed: {self.health()}, {reader.in_a_row} own lists in a row, log:\n{self.api.tail()}")
        return None

    def await_api(self) -> None:
        """Raises AssertionError where it does not answer, from both stores."""
        assert wait_until(lambda: self.health()["status"] == "ok", START_SECONDS), self.api.tail()

    # Wishes.

    def wish(self, number: int, client: httpx.Client) -> None:
        """Somebody asks to be gone, every other time through the API; only who was told so counts as gone."""
        user = next(self._going)
        try:
            if number % 2:
                accepted = client.delete(f"/api/users/{user}").status_code == 202
            else:
                accepted = bool(self.stores.suppressions.forget(self.stores.key(user)).receipt)
        except (httpx.TransportError, psycopg.Error, RefusedError, StoreError):
            accepted = False
        if accepted:
            self.gone.setdefault(user, perf_counter())

    @contextmanager
    def wishing(self) -> Iterator[None]:
        """Wishes are made one after the other until the end of the block."""
        ended = threading.Event()

        def run() -> None:
            with self.client() as client:
                for number in itertools.count():
                    if ended.wait(0.3):
                        return
                    self.wish(number, client)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def lost(self) -> int:
        """Accepted wishes that do not hold, or of which something is left in the stores now; rows that did not land."""
        marks = self.stores.suppressions.marks()
        mark = {user: self.home.keys.mark(self.stores.key(user)) for user in self.gone}
        keys = self.stores.redis()
        left = [one for one in mark.values() if one not in marks or any(f":list:{one}" in key for key in keys)]
        return len(left) + self.rows_lost


def _through(url: str, front: Door) -> str:
    head, _, rest = url.rpartition("@127.0.0.1:")
    return f"{head}@127.0.0.1:{front.port}/{rest.partition('/')[2]}"


@contextmanager
def open_shop(home: Home, folder: Path) -> Iterator[Shop]:
    """One with a generation published, whose API answers. ``folder`` holds the stores' data."""
    postgres, older = Postgres(folder), OlderFile(folder)
    with ExitStack() as stack:
        stack.callback(remove_postgres, folder)
        stack.callback(postgres.stop)
        postgres.start()
        stack.callback(older.valkey.stop)
        older.valkey.start()
        fronts = [stack.enter_context(door(url))[0] for url in (postgres.url("postgres"), older.valkey.url)]
        shop = Shop(home, folder, postgres, older, (fronts[0], fronts[1]))
        stack.callback(shop.close)
        shop.publish()
        shop.await_api()
        yield shop


def children(pid: int) -> list[int]:
    """A living process and those that it has started, on Linux."""
    found = [pid]
    for parent in found:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def tell(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process, then to all that it has started."""
    os.kill(pid, number)
    for one in children(pid)[1:]:
        with suppress(ProcessLookupError):
            os.kill(one, number)


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Servers and their children get no processor, as on a machine that hangs; their ports still take connections."""
    for pid in pids:
        tell(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            tell(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    """SIGKILL to a process and all that it has started; returns when they are gone."""
    tell(pid, signal.SIGSTOP)  # so that it starts nothing meanwhile
    family = children(pid)
    for one in reversed(family):
        os.kill(one, signal.SIGKILL)
    assert wait_until(lambda: all(born(one) is None for one in family), 30)
