"""Who goes with whom, and rows of every table without them."""

from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.erasure import PERSON_COLUMNS, PERSONAL, Gone, gone, person_columns, touched, without
from recsys_assets.tables import CLEAN_EVENTS, IDENTITIES, INTERACTIONS, LANDING_USERS, SESSIONS, TABLES, USERS
from recsys_assets_tests.models.builders import event, events, rows

DAY = date(2024, 5, 10)


def pairs(*given_pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(given_pairs, schema={"user_key": pl.String, "anon_key": pl.String}, orient="row")


def people(table_rows: pl.DataFrame) -> list[tuple[str | None, str | None]]:
    return table_rows.select("user_key", "anon_key").rows()


def test_every_column_that_names_a_person_is_known() -> None:
    """A table that names people otherwise would be left out of erasures: add its column to PERSON_COLUMNS."""
    named = {name for table in TABLES.values() for name in table.columns if name.endswith("_key")}
    assert named == set(PERSON_COLUMNS)
    assert {table.name for table in PERSONAL} == {
        "landing_events", "landing_users", "clean_events", "rejected_events", "sessions", "users", "identities",
        "user_profiles", "interactions", "owned", "steps", "candidates", "lists", "rule_effects", "plans",
    }  # fmt: skip


def test_an_anonymous_key_goes_with_its_only_user() -> None:
    who = gone(pairs(("u", "c"), ("v", "d")), {"u"})
    assert sorted(who.keys) == ["c", "u"]
    assert not who.shared
    assert not who.made_with
    assert who.behind("c") == {"c", "u"}
    assert who.behind("u") == {"u"}


def test_a_shared_device_stays_until_the_last_of_its_users_is_erased() -> None:
    both = pairs(("u", "c"), ("v", "c"))
    first, last = gone(both, {"u"}), gone(both, {"u", "v"})
    assert (sorted(first.keys), sorted(first.shared)) == (["u"], ["c"])
    assert (sorted(last.keys), sorted(last.shared)) == (["c", "u", "v"], [])


def test_an_erased_anonymous_key_takes_nobody_with_it() -> None:
    who = gone(pairs(("u", "c"), ("u", "d")), {"c"})
    assert sorted(who.keys) == ["c"]
    assert dict(who.made_with) == {"u": frozenset({"c"})}
    assert who.behind("u") == {"c"}


def test_events_of_an_erased_user_and_of_the_device_go() -> None:
    seen = events(
        event("u", "p", DAY), event("u", "q", DAY, anon="c"), event(None, "r", DAY, anon="c"), event("v", "p", DAY)
    )
    left, told = without(seen, CLEAN_EVENTS, gone(pairs(("u", "c")), {"u"}))
    assert people(left) == [("v", None)]
    assert told == {"u": 2, "c": 1}


def test_an_erased_device_leaves_the_rows_of_its_user_without_it() -> None:
    seen = events(event("u", "q", DAY, anon="c"), event(None, "r", DAY, anon="c"), event(None, "s", DAY, anon="d"))
    left, told = without(seen, CLEAN_EVENTS, gone(pairs(("u", "c")), {"c"}))
    assert people(left) == [("u", None), (None, "d")]
    assert told == {"c": 2}


def test_what_was_made_of_the_user_and_the_erased_device_goes_and_what_the_user_said_stays() -> None:
    who = gone(pairs(("u", "c")), {"c"})
    made = rows(INTERACTIONS, [{"person_key": "u", "product_id": "p"}, {"person_key": "v", "product_id": "p"}])
    left, told = without(made, INTERACTIONS, who)
    assert (left["person_key"].to_list(), told) == (["v"], {"u": 1})
    said = rows(USERS, [{"person_key": "u"}])
    assert without(said, USERS, who) == (said, {})


def test_a_visit_goes_with_either_of_its_keys() -> None:
    visits = rows(SESSIONS, [{"person_key": "u", "anon_key": "c"}, {"person_key": "v"}])
    for asked in ({"u"}, {"c"}):
        left, told = without(visits, SESSIONS, gone(pairs(), asked))
        assert (left["person_key"].to_list(), told) == (["v"], {next(iter(asked)): 1})


def test_users_files_lose_the_person_and_keep_rows_that_name_nobody() -> None:
    landed = rows(LANDING_USERS, [{"user_key": "u"}, {"user_key": None}, {"user_key": "v"}])
    left, told = without(landed, LANDING_USERS, gone(pairs(), {"u"}))
    assert (left["user_key"].to_list(), told) == ([None, "v"], {"u": 1})


def test_a_shared_device_stays_shared_in_past_days_too() -> None:
    known = rows(
        IDENTITIES,
        [
            {"anon_key": "both", "user_key": user, "first_seen_date": DAY, "last_seen_date": DAY}
            for user in ("u", "v", "w")
        ]
        + [{"anon_key": "own", "user_key": "u"}, {"anon_key": "other", "user_key": "v"}],
    )
    who = gone(known.select("user_key", "anon_key"), {"u", "w"})
    left, told = without(known, IDENTITIES, who)
    assert left.select("anon_key", "user_key").rows() == [("both", None), ("both", "v"), ("other", "v")]
    assert told == {"u": 2, "w": 1}
    assert without(left, IDENTITIES, who) == (left, {})


_SEEN = st.lists(st.tuples(st.sampled_from([None, *"uvw"]), st.sampled_from([None, *"cde"])), max_size=12)


@given(_SEEN, st.sets(st.sampled_from("uvwcde"), max_size=4))
def test_nothing_of_the_erased_is_left_and_nothing_else_is_touched(
    seen: list[tuple[str | None, str | None]], asked: set[str]
) -> None:
    frame = events(*(event(user, "p", DAY, anon=anon) for user, anon in seen))
    who = gone(pairs(*{(user, anon) for user, anon in seen if user and anon}), asked)
    left, told = without(frame, CLEAN_EVENTS, who)
    kept = []
    for user, anon in seen:
        users_of_it = {u for u, a in seen if u and a == anon}
        alone = anon in asked or bool(users_of_it and users_of_it <= asked)
        if user in asked or (user is None and anon and alone):
            continue
        kept.append((user, None if alone else anon))
    assert people(left) == kept
    assert not left.select(touched(CLEAN_EVENTS, who)).to_series().any()
    changed = sum((user, anon) not in kept for user, anon in seen)
    assert sum(told.values()) >= changed
    assert without(left, CLEAN_EVENTS, who) == (left, {})


def test_nobody_is_asked_for() -> None:
    assert gone(pairs(("u", "c")), set()) == Gone()
    assert person_columns(CLEAN_EVENTS) == ["user_key", "anon_key"]
