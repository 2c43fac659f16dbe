from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import psycopg
import pytest

from recsys_assets.errors import NotFoundError, RefusedError, StoreError
from recsys_assets.local.processes import free_port
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import PREFIX, Made, Tokens

DAY = timedelta(1)


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def tokens(url: str) -> Tokens:
    return Tokens(Postgres(url))


def version(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT token_version FROM live").fetchone()
    assert row is not None
    return int(row[0])


def stored(url: str) -> list[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT name, hash FROM api_tokens ORDER BY made_at").fetchall()


def test_only_the_hash_of_a_token_is_kept(tokens: Tokens, url: str) -> None:
    made = tokens.make("shop", ["profiles", "writes"], 30 * DAY)
    assert made.token.startswith(PREFIX)
    assert len(made.token) == len(PREFIX) + 43  # 32 bytes, six bits a character
    assert made.expires_at - made.made_at == 30 * DAY
    assert stored(url) == [("shop", sha256(made.token.encode()).digest())]
    (kept, expired) = tokens.all()[0]
    assert (kept.number, kept.name, kept.scopes, expired) == (made.number, "shop", ("profiles", "writes"), False)
    assert tokens.make("crm", ["writes"], DAY).token != made.token


def test_every_change_is_told_and_nothing_else(tokens: Tokens, url: str) -> None:
    tokens.make("shop", ["writes"], DAY)
    assert version(url) == 1
    with pytest.raises(RefusedError, match="there is a token shop"):
        tokens.make("shop", ["writes"], DAY)
    with pytest.raises(NotFoundError, match="crm"):
        tokens.revoke("crm")
    assert version(url) == 1
    tokens.rotate("shop", DAY)
    assert version(url) == 2
    tokens.revoke("shop")
    assert (version(url), tokens.all()) == (3, [])


def test_a_rotation_leaves_the_old_one_for_the_overlap_and_no_longer_than_it_had(tokens: Tokens) -> None:
    first = tokens.make("shop", ["listings"], 10 * DAY)
    second = tokens.rotate("shop", 2 * DAY)
    third = tokens.rotate("shop", 5 * DAY)
    ends = {kept.number: kept.expires_at for kept, _ in tokens.all()}
    assert ends[first.number] - second.made_at == 2 * DAY
    assert ends[second.number] - third.made_at == 5 * DAY
    assert ends[third.number] - third.made_at == 10 * DAY
    assert third.scopes == ("listings",)


def test_an_overlap_of_nothing_ends_it_at_once_and_an_expired_one_makes_room(tokens: Tokens) -> None:
    first = tokens.make("shop", ["writes"], DAY)
    second = tokens.rotate("shop", timedelta())
    assert [(kept.number, expired) for kept, expired in tokens.all()] == [(first.number, True), (second.number, False)]
    tokens.revoke(second.number)
    with pytest.raises(NotFoundError, match="no token shop to rotate"):
        tokens.rotate("shop", DAY)
    third = tokens.make("shop", ["writes"], DAY)
    assert [kept.number for kept, _ in tokens.all()] == [third.number]


def test_a_number_ends_one_and_a_name_ends_all(tokens: Tokens) -> None:
    made: list[Made] = [tokens.make("shop", ["writes"], DAY), tokens.rotate("shop", DAY), tokens.rotate("shop", DAY)]
    assert [kept.number for kept in tokens.revoke(made[1].number.upper())] == [made[1].number]
    assert {kept.number for kept, _ in tokens.all()} == {made[0].number, made[2].number}
    assert len(tokens.revoke("shop")) == 2


@pytest.mark.parametrize("scopes", [["everything"], []])
def test_postgres_refuses_scopes_that_do_not_exist(tokens: Tokens, url: str, scopes: list[str]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        tokens.make("shop", scopes, DAY)
    assert (stored(url), version(url)) == ([], 0)


def test_without_postgres_nothing_is_promised() -> None:
    nowhere = Tokens(Postgres(f"postgresql://app@127.0.0.1:{free_port()}/none"))
    with pytest.raises(StoreError):
        nowhere.make("shop", ["writes"], DAY)
