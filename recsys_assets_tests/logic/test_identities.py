"""Anonymous keys: one user's, several users', an erased user's."""

import random
from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.identity import KeyRing
from recsys_assets.logic.identities import identities, merged, merged_people
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.sessions import sessions
from recsys_assets.tables import IDENTITIES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import event, events, rows

DAY = date(2024, 5, 10)
MARK = KeyRing(b"a secret for the tests").mark


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def login(user: str, anon: str, day: date = DAY, product: str = "p") -> dict[str, object]:
    return event(user, product, day, "view", anon=anon)


def visit(anon: str, day: date = DAY, product: str = "p") -> dict[str, object]:
    return event(None, product, day, "view", anon=anon)


def owners(*given_events: dict[str, object], window: int = 30, erased: tuple[str, ...] = ()) -> dict[str, str | None]:
    found = identities(events(*given_events), DAY, window, {MARK(key) for key in erased}, MARK)
    return dict(found.select("anon_key", "user_key").iter_rows())


def test_a_key_seen_with_one_user_is_theirs() -> None:
    found = identities(events(login("u", "c", ago(9)), login("u", "c", ago(2)), visit("c"), visit("d")), DAY, 30)
    assert found.rows() == [("c", "u", ago(9), ago(2))]


def test_a_key_seen_with_several_users_is_nobodys() -> None:
    assert owners(login("u", "c", ago(3)), login("v", "c")) == {"c": None}
    seen = events(login("u", "c", ago(3)), login("v", "c"), visit("c"))
    assert merged(seen, identities(seen, DAY, 30)).equals(seen)


def test_only_the_window_counts() -> None:
    assert owners(login("v", "c", ago(30)), login("u", "c", ago(29))) == {"c": "u"}
    assert owners(login("u", "c", DAY + timedelta(1))) == {}


def test_what_was_done_before_the_login_counts_for_the_user() -> None:
    seen = events(visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"), visit("d", ago(1), "pot"))
    links = identities(seen, DAY, 30)
    made = interactions(merged(seen, links), DAY, Tuning())
    assert made.select("person_key", "product_id").rows() == [("d", "pot"), ("u", "mug"), ("u", "tea")]
    visits = merged_people(sessions(seen, 30), links)
    assert sorted(visits["person_key"]) == ["d", "u", "u"]


def test_after_an_erasure_the_anonymous_history_stands_alone() -> None:
    seen = (visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"), login("v", "d"))
    assert owners(*seen) == {"c": "u", "d": "v"}
    assert owners(*seen, erased=("u",)) == {"d": "v"}
    assert owners(*seen, erased=("c",)) == {"d": "v"}
    alone = merged(events(*seen), identities(events(*seen), DAY, 30, {MARK("u")}, MARK))
    assert alone.filter(pl.col("user_key").is_null())["anon_key"].to_list() == ["c"]


def test_the_other_user_of_an_erased_persons_device_does_not_inherit_it() -> None:
    assert owners(login("u", "c", ago(1)), login("v", "c"), erased=("u",)) == {}


def test_nothing_linked_changes_nothing() -> None:
    seen = events(visit("c"), event("u", "p", DAY))
    assert merged(seen, IDENTITIES.empty()) is seen
    visits = sessions(seen, 30)
    assert merged_people(visits, IDENTITIES.empty()) is visits


_SEEN = st.lists(
    st.tuples(st.sampled_from([None, "u", "v"]), st.sampled_from([None, "c", "d", "e"]), st.integers(0, 4)), max_size=15
)


@given(_SEEN, st.integers(0, 99))
def test_merging_moves_people_and_nothing_else(seen: list[tuple[str | None, str | None, int]], seed: int) -> None:
    given_events = [event(u, "p", ago(days), "view", anon=c) for u, c, days in seen if u or c]
    frame = events(*given_events)
    links = identities(frame, DAY, 30)
    made = merged(frame, links)
    assert made.drop("user_key").equals(frame.drop("user_key"))
    with_users: dict[str, set[str]] = {}
    for user, anon, _ in seen:
        if user and anon:
            with_users.setdefault(anon, set()).add(user)
    wanted = [
        u or next(iter(with_users[c])) if c and len(with_users.get(c, ())) == 1 else u for u, c, _ in seen if u or c
    ]
    assert made["user_key"].to_list() == wanted
    shuffled = events(*random.Random(seed).sample(given_events, len(given_events)))
    assert identities(shuffled, DAY, 30).equals(links)
    assert rows(IDENTITIES, links.to_dicts()).equals(links)
