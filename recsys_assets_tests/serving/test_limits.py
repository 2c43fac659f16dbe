from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from fastapi import Depends

from recsys_assets.local.processes import wait_until
from recsys_assets.serving.access import require
from recsys_assets.serving.app import create
from recsys_assets.serving.limits import EXEMPT, Buckets
from recsys_assets.serving.problems import MEDIA_TYPE
from recsys_assets.settings import load_settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import Tokens
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import served


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_gives_a_second_s_worth_at_once_and_fills_up_again(clock: Clock) -> None:
    buckets = Buckets(4, clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0] * 4
    assert buckets.take("a") == 1 / 4
    assert buckets.take("b") == 0.0
    clock.seconds += 1 / 8
    assert buckets.take("a") == 1 / 8  # a refusal takes nothing
    clock.seconds += 1 / 8
    assert (buckets.take("a"), buckets.take("a")) == (0.0, 1 / 4)
    clock.seconds += 60
    assert [buckets.take("a") for _ in range(5)] == [0.0] * 4 + [1 / 4]


def test_no_limit_keeps_nothing(clock: Clock) -> None:
    buckets = Buckets(0, clock)
    assert {buckets.take("a") for _ in range(1000)} == {0.0}
    assert len(buckets) == 0


def test_the_silent_are_forgotten_and_memory_is_bounded(clock: Clock) -> None:
    buckets = Buckets(1, clock, most=100)
    for number in range(1000):  # all at once
        buckets.take(f"client {number}")
    assert len(buckets) == 100
    assert buckets.take("client 999") > 0  # it is still known
    assert buckets.take("client 900") > 0
    for number in range(99):
        buckets.take(f"another {number}")
    assert buckets.take("client 900") > 0  # it was not silent
    for number in range(100):
        clock.seconds += 1
        buckets.take(f"later {number}")
    assert len(buckets) <= 2


@pytest.fixture
def tokens(stores: Stores) -> Tokens:
    found = Tokens(Postgres(stores.postgres_url))
    found.all()
    return found


@pytest.fixture
def client(stores: Stores, tokens: Tokens, clock: Clock) -> Iterator[httpx.Client]:
    """Of an API that takes 5 reads and 2 writes a second, by a clock that stands."""
    told = {"RECSYS_API_READS_PER_SECOND": "5", "RECSYS_API_WRITES_PER_SECOND": "2"}
    made = create(load_settings(stores.environment | told), clock)

    @made.get("/needs-writes", include_in_schema=False, dependencies=[Depends(require(made.state.api, "writes"))])
    async def needs() -> str:
        return "done"

    with served(made) as found:
        yield found


def statuses(client: httpx.Client, count: int, token: str = "", method: str = "GET", path: str = "/x") -> list[int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return [client.request(method, path, headers=headers).status_code for _ in range(count)]


def test_who_asks_too_often_is_told_when_to_come_again(client: httpx.Client, clock: Clock) -> None:
    assert statuses(client, 6) == [404] * 5 + [429]
    refused = client.get("/api/recommendations", params={"userId": "somebody"})
    assert (refused.status_code, refused.headers["content-type"]) == (429, MEDIA_TYPE)
    assert (refused.headers["retry-after"], refused.headers["cache-control"]) == ("1", "no-store")
    assert refused.headers["x-request-id"]
    assert statuses(client, 3, method="PUT") == [404, 404, 429]  # of their own number
    clock.seconds += 1
    assert statuses(client, 6) == [404] * 5 + [429]


def test_whoever_watches_is_never_refused(client: httpx.Client) -> None:
    statuses(client, 6)
    for path in EXEMPT:
        assert set(statuses(client, 6, path=path)) <= {200, 503}, path


def test_each_token_is_a_client_of_its_own(client: httpx.Client, tokens: Tokens, clock: Clock) -> None:
    made = [tokens.make(name, ["writes"], timedelta(1)).token for name in "ab"]

    def known() -> bool:
        clock.seconds += 1
        return all(statuses(client, 1, token, path="/needs-writes") == [200] for token in made)

    assert wait_until(known, 10)
    clock.seconds += 1
    assert statuses(client, 6) == [404] * 5 + [429]
    for token in made:
        assert statuses(client, 6, token, path="/needs-writes") == [200] * 5 + [429]


def test_guesses_count_as_writes_whatever_they_are_tried_on(client: httpx.Client, clock: Clock) -> None:
    assert [statuses(client, 1, f"guess {number}", path="/needs-writes")[0] for number in range(4)] == [
        401,
        401,
        429,
        429,
    ]
    assert statuses(client, 1, "guess", path="/api/v1/health") == [503]
    clock.seconds += 1
    assert [statuses(client, 1, f"guess {number}")[0] for number in range(3)] == [404, 404, 429]
    clock.seconds += 1
    assert statuses(client, 3, path="/needs-writes") == [401] * 3  # without one there is nothing to guess
    assert statuses(client, 1, method="DELETE") == [429]  # but it counts
