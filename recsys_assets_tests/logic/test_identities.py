"""Anonymous keys: one user's, several users', an erased user's."""

import random
from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.identity import KeyRing
from recsys_assets.logic.identities import identities, merged, merged_people, of_somebody, owned, shared
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


def links(
    *given_events: dict[str, object], window: int = 30, with_erased: tuple[str, ...] = (), apart: tuple[str, ...] = ()
) -> pl.DataFrame:
    return identities(
        events(*given_events), DAY, window, {MARK(key) for key in with_erased}, {MARK(key) for key in apart}, MARK
    )


def pairs(*given_events: dict[str, object], window: int = 30) -> list[tuple[str, str | None]]:
    return links(*given_events, window=window).select("anon_key", "user_key").rows()


def test_a_key_seen_with_one_user_is_theirs() -> None:
    found = identities(events(login("u", "c", ago(9)), login("u", "c", ago(2)), visit("c"), visit("d")), DAY, 30)
    assert found.rows() == [("c", "u", ago(9), ago(2))]


def test_a_key_seen_with_several_users_has_a_row_for_each_and_is_nobodys() -> None:
    found = links(login("u", "c", ago(3)), login("v", "c", ago(2)), login("u", "c"), login("u", "d"))
    assert found.rows() == [("c", "u", ago(3), DAY), ("c", "v", ago(2), ago(2)), ("d", "u", DAY, DAY)]
    assert owned(found).rows() == [("d", "u")]
    assert shared(found).to_list() == ["c"]
    seen = events(login("u", "c", ago(3)), login("v", "c"), visit("c"))
    assert merged(seen, found).equals(seen)


def test_only_the_window_counts() -> None:
    assert pairs(login("v", "c", ago(30)), login("u", "c", ago(29))) == [("c", "u")]
    assert pairs(login("u", "c", DAY + timedelta(1))) == []


def test_what_was_done_before_the_login_counts_for_the_user() -> None:
    seen = events(visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"), visit("d", ago(1), "pot"))
    known = identities(seen, DAY, 30)
    made = interactions(merged(seen, known), DAY, Tuning())
    assert made.select("person_key", "product_id").rows() == [("d", "pot"), ("u", "mug"), ("u", "tea")]
    visits = merged_people(sessions(seen, 30), known)
    assert sorted(visits["person_key"]) == ["d", "u", "u"]


def test_nobody_sees_what_was_done_without_login_on_a_device_of_several() -> None:
    seen = events(visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"), login("v", "c", DAY, "pot"), visit("d"))
    known = identities(seen, DAY, 30)
    left = of_somebody(merged(seen, known), known, ())
    assert sorted(left.select("user_key", "product_id").rows(), key=str) == [("u", "mug"), ("v", "pot"), (None, "p")]


def test_who_opted_out_takes_what_was_done_before_the_login() -> None:
    seen = events(visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"), login("v", "d"), visit("e"))
    known = identities(seen, DAY, 30)
    assert of_somebody(merged(seen, known), known, {"u", "e"})["user_key"].to_list() == ["v"]


def test_the_other_user_of_an_erased_persons_device_does_not_inherit_it() -> None:
    seen = (visit("c", ago(5), "tea"), login("v", "c"), login("v", "d"))  # u's rows are gone
    assert owned(links(*seen)).rows() == [("c", "v"), ("d", "v")]
    found = links(*seen, with_erased=("c",))
    assert found.select("anon_key", "user_key").rows() == [("c", None), ("c", "v"), ("d", "v")]
    assert owned(found).rows() == [("d", "v")]
    assert of_somebody(merged(events(*seen), found), found, ())["product_id"].to_list() == ["p", "p"]


def test_an_anonymous_key_that_opted_out_passes_nothing_on() -> None:
    seen = events(visit("c", ago(5), "tea"), login("u", "c", ago(1), "mug"))
    known = identities(seen, DAY, 30, apart={MARK("c")}, mark=MARK)
    assert known.is_empty()
    left = of_somebody(merged(seen, known), known, {"c"})
    assert left.select("user_key", "product_id").rows() == [("u", "mug")]


def test_a_table_of_an_older_version_says_nobodys_by_a_null_user() -> None:
    older = rows(IDENTITIES, [{"anon_key": "c", "user_key": None}, {"anon_key": "d", "user_key": "u"}])
    assert owned(older).rows() == [("d", "u")]
    assert shared(older).to_list() == ["c"]


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
    known = identities(frame, DAY, 30)
    made = merged(frame, known)
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
    assert identities(shuffled, DAY, 30).equals(known)
    assert rows(IDENTITIES, known.to_dicts()).equals(known)
