"""The users file's noes: as an opt-out in every store, beside what people themselves asked for."""

from uuid import UUID

import psycopg
import pytest

from recsys_assets.errors import RefusedError
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import suppressions
from recsys_assets.stores.cache import marker_key
from recsys_assets.stores.suppressions import Followed
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask
from recsys_assets_tests.stores.test_suppressions import traces, version

USERS = ["1", "2", "3"]


def says(stores: Stores, *, no: tuple[str, ...] = (), yes: tuple[str, ...] = ()) -> Followed:
    return stores.suppressions.follow(Wishes([stores.key(u) for u in no], [stores.key(u) for u in yes]))


def out(stores: Stores) -> set[str]:
    marks = stores.suppressions.marks()
    return {user for user in USERS if stores.home.keys.mark(stores.key(user)) in marks}


def kinds(stores: Stores) -> list[tuple[str, bool]]:
    with psycopg.connect(stores.postgres_url) as connection:
        return connection.execute("SELECT kind, by_file FROM suppressions ORDER BY kind").fetchall()


def test_a_no_takes_every_generation_and_a_yes_lets_the_next_publish(stores: Stores) -> None:
    stores.publish(USERS)
    stores.publish(USERS)
    done = says(stores, no=("1", "2"), yes=("3",))
    assert (done.withheld, done.released, done.lists, done.cached, done.cache_problem) == (2, 0, 4, 4, None)
    assert stores.cache.version() == version(stores) == 1
    assert says(stores, no=("1", "2"), yes=("3",)) == Followed()
    assert version(stores) == 1  # nothing changed, nothing moved
    key = stores.key("1")
    stores.publisher.rollback()
    assert stores.publish(USERS).rows["lists"] == 1
    assert traces(stores, key, str(UUID(key))) == []
    assert out(stores) == {"1", "2"}
    done = says(stores, no=("2",), yes=("1", "3"))
    assert (done.withheld, done.released) == (0, 1)
    assert marker_key(stores.home.keys.mark(key)) not in stores.redis()
    assert stores.cache.version() == version(stores) == 2
    assert stores.publish(USERS).rows["lists"] == 2


def test_who_is_no_longer_in_any_file_stays_withheld(stores: Stores) -> None:
    stores.publish(USERS)
    says(stores, no=("1",))
    assert says(stores) == Followed()
    assert out(stores) == {"1"}


def test_the_files_yes_lifts_no_optout_and_an_optin_no_files_no(stores: Stores) -> None:
    stores.publish(USERS)
    key = stores.key("1")
    stores.suppressions.optout(key)
    says(stores, no=("1",))
    assert kinds(stores) == [("optout", True)]
    says(stores, yes=("1",))
    assert kinds(stores) == [("optout", False)]
    assert out(stores) == {"1"}
    says(stores, no=("1",))
    done = stores.suppressions.optin(key)
    assert (done.was_out, done.by_file, done.cache_problem) == (True, True, None)
    assert kinds(stores) == [("consent", True)]
    again = stores.suppressions.optin(key)
    assert (again.was_out, again.by_file) == (False, True)
    assert marker_key(stores.home.keys.mark(key)) in stores.redis()
    with api(stores.settings) as client:
        assert ask(client, userId="1")["fallback"] == "popular"
        assert ask(client, userId="2")["fallback"] is None
    stores.suppressions.optout(key)
    assert kinds(stores) == [("optout", True)]
    assert stores.suppressions.optin(key).by_file
    says(stores, yes=("1",))
    assert (kinds(stores), out(stores)) == ([], set())


def test_an_erasure_stays_one_whatever_the_file_says(stores: Stores) -> None:
    stores.publish(USERS)
    key = stores.key("1")
    stores.suppressions.forget(key)
    says(stores, no=("1",))
    says(stores, yes=("1",))
    assert kinds(stores) == [("erased", False)]
    assert stores.suppressions.erased() == {stores.home.keys.mark(key)}
    with pytest.raises(RefusedError, match="erased"):
        stores.suppressions.optin(key)


def test_a_redis_that_is_away_is_not_trusted_until_it_has_followed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.publish(USERS)
    says(stores, no=("2",))
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.0)
    with door(stores.redis_url) as (redis, url):
        redis.shut()
        done = says(Stores(stores.home, stores.postgres_url, url), no=("1",), yes=("2",))
    assert (done.withheld, done.released, done.lists, done.cached) == (1, 1, 1, 0)
    assert done.cache_problem is not None
    assert stores.cache.version() == version(stores) - 1
    stores.publisher.warm()
    marks = {user: marker_key(stores.home.keys.mark(stores.key(user))) for user in ("1", "2")}
    assert marks["1"] in stores.redis()
    assert marks["2"] not in stores.redis()
    assert stores.cache.version() == version(stores)


def test_marketing_wishes_are_kept_until_told_otherwise(stores: Stores) -> None:
    def plain() -> int:
        with psycopg.connect(stores.postgres_url) as connection:
            return len(connection.execute("SELECT FROM transactional_only").fetchall())

    follow = stores.suppressions.follow
    for wishes, left in (
        (Wishes(transactional_only=["a", "b"]), 2),
        (Wishes(transactional_only=["b"]), 2),
        (Wishes(), 2),
        (Wishes(transactional_only=["b"], marketing_too=["a"]), 1),
        (Wishes(marketing_too=["a", "b"]), 0),
    ):
        follow(wishes)
        assert plain() == left
