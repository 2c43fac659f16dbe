from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.sessions import sessions
from recsys_assets.tables import CLEAN_EVENTS, EVENT_TYPES, MICROS, SESSIONS
from recsys_assets_tests.models.builders import rows

DAY = date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
GAP = 30


def at(after: timedelta, kind: str = "view", person: str | None = "p", **more: object) -> dict[str, object]:
    """An event so long after noon; its id says when."""
    time = NOON + after
    return {
        "event_id": f"{time} {kind} {more.get('product_id')}",
        "event_type": kind,
        "event_time": time,
        "event_date": time.date(),
        "user_key": person,
        "product_id": "a",
    } | more


def minutes(count: float, kind: str = "view", person: str | None = "p", **more: object) -> dict[str, object]:
    return at(timedelta(minutes=count), kind, person, **more)


def made(*given_events: dict[str, object], gap: int = GAP) -> pl.DataFrame:
    return sessions(rows(CLEAN_EVENTS, list(given_events)), gap)


def test_one_visit_counts_what_happened_in_it() -> None:
    visit = made(
        minutes(0, "search", product_id=None),
        minutes(1, "impression"),
        minutes(2, "search_click", device="mobile"),
        minutes(3, "click", product_id="b", referrer="https://example.org/"),
        minutes(4, device="desktop", referrer="https://example.net/"),
        minutes(5, "add_to_cart"),
        minutes(6, "purchase", quantity=3, unit_price_micros=2 * MICROS),
        minutes(6, "purchase", product_id="c", quantity=1, unit_price_micros=MICROS // 2),
        minutes(7, "purchase", product_id="d", quantity=1, unit_price_micros=None),
        minutes(8, "return", quantity=-1, unit_price_micros=2 * MICROS),
        minutes(8.5, "review"),
        minutes(8.5, "remove_from_cart"),
        minutes(8.5, "wishlist_add"),
    ).row(0, named=True)
    assert len(visit.pop("session_id")) == 32
    assert visit == {
        "person_key": "p",
        "anon_key": None,
        "event_date": DAY,
        "started_at": NOON,
        "ended_at": NOON + timedelta(minutes=8.5),
        "duration_seconds": 8 * 60 + 30,
        "events": 13,
        "views": 1,
        "clicks": 2,  # click and search_click
        "carts": 1,
        "removals": 1,
        "wishes": 1,
        "reviews": 1,
        "purchases": 3,
        "returns": 1,
        "searches": 1,
        "impressions": 1,
        "products": 4,  # a, b, c, d; the search has none
        "value_micros": 3 * 2 * MICROS + MICROS // 2,  # what came back and what has no price do not count
        "converted": True,
        "device": "mobile",  # the first that is known
        "referrer": "https://example.org/",
    }


def test_one_event_is_a_visit_of_no_seconds_that_bought_nothing() -> None:
    visit = made(minutes(0)).row(0, named=True)
    assert (visit["duration_seconds"], visit["value_micros"], visit["converted"]) == (0, 0, False)
    assert (visit["device"], visit["referrer"]) == (None, None)


def test_a_gap_of_exactly_30_minutes_is_no_cut_and_a_microsecond_more_is() -> None:
    assert made(minutes(0), minutes(30), minutes(60))["events"].to_list() == [3]
    assert made(minutes(0), at(timedelta(minutes=30, microseconds=1)))["events"].to_list() == [1, 1]


def test_the_gap_is_a_knob() -> None:
    assert made(minutes(0), minutes(6), gap=5).height == 2
    assert made(minutes(0), minutes(600), gap=600).height == 1


def test_midnight_cuts_and_the_day_is_the_one_of_the_home() -> None:
    # In Berlin the day of 21:59 UTC ends a minute later.
    before, after = minutes(599, event_date=DAY), minutes(601, event_date=DAY + timedelta(days=1))
    assert made(before, after)["event_date"].to_list() == [DAY, DAY + timedelta(days=1)]
    assert made(minutes(599), minutes(601))["events"].to_list() == [2]


def test_the_shops_own_session_id_wins_over_any_silence() -> None:
    visit = made(minutes(0, session_id="s"), minutes(300, session_id="s"))
    assert visit["duration_seconds"].to_list() == [300 * 60]


def test_the_shops_own_sessions_are_apart_however_close() -> None:
    assert made(minutes(0, session_id="s"), minutes(1, session_id="t"), minutes(2, session_id="s"))[
        "events"
    ].to_list() == [2, 1]


def test_the_shops_own_session_is_cut_per_day_into_visits_with_keys_of_their_own() -> None:
    two = made(minutes(719, session_id="s"), minutes(721, session_id="s"))
    assert two["events"].to_list() == [1, 1]
    assert two["session_id"].n_unique() == 2


def test_events_without_a_session_id_are_cut_among_themselves() -> None:
    # 0 and 50 are 50 minutes apart, whatever the shop's own session does between them.
    visits = made(minutes(0), minutes(25, session_id="s"), minutes(50))
    assert visits["started_at"].to_list() == [NOON + timedelta(minutes=m) for m in (0, 25, 50)]


def test_two_people_of_one_session_id_are_two_visits() -> None:
    visits = made(minutes(0, session_id="s"), minutes(1, person="q", session_id="s"))
    assert visits["person_key"].to_list() == ["p", "q"]
    assert visits["session_id"].n_unique() == 2


def test_before_the_login_is_a_visit_of_the_anonymous_key() -> None:
    visits = made(minutes(0, person=None, anon_key="anon"), minutes(1, anon_key="anon"))
    assert visits["person_key"].to_list() == ["anon", "p"]


def test_a_session_id_that_is_an_event_id_does_not_meet_it() -> None:
    visits = made(minutes(0, session_id="x"), minutes(0, event_id="x"))
    assert visits["session_id"].n_unique() == 2


def test_a_return_is_no_visit_and_makes_none_longer() -> None:
    back: dict[str, Any] = {"quantity": -2, "unit_price_micros": MICROS}
    assert made(minutes(0, "return", **back)).equals(SESSIONS.empty())
    assert made(minutes(0, "return", session_id="s", **back)).equals(SESSIONS.empty())
    # 0 and 40 are more than 30 minutes apart, whatever came back between them; the visit around it counts it.
    visits = made(minutes(-5, "return", **back), minutes(0), minutes(20, "return", **back), minutes(40))
    assert visits.select("events", "returns", "duration_seconds", "converted").rows() == [
        (3, 2, 0, False),
        (1, 0, 0, False),
    ]
    assert (
        made(minutes(0), minutes(9, "return", **back))["session_id"].to_list()
        == made(minutes(0))["session_id"].to_list()
    )


def test_a_login_does_not_end_the_shops_own_session() -> None:
    before = minutes(0, person=None, anon_key="anon", session_id="s")
    for after in (minutes(1, anon_key="anon", session_id="s"), minutes(1, session_id="s")):
        visit = made(before, after)
        assert visit.select("person_key", "anon_key", "events", "started_at").rows() == [("p", "anon", 2, NOON)]
        assert visit["session_id"].to_list() == made(after)["session_id"].to_list()


def test_a_session_id_that_several_people_share_is_cut_by_person() -> None:
    anonymous = minutes(0, person=None, anon_key="anon", session_id="s")
    two_users = made(anonymous, minutes(1, session_id="s"), minutes(2, person="q", session_id="s"))
    assert two_users.select("person_key", "anon_key").rows() == [("anon", None), ("p", None), ("q", None)]
    other = minutes(1, person=None, anon_key="other", session_id="s")
    assert made(anonymous, other, minutes(2, session_id="s"))["person_key"].to_list() == ["anon", "other", "p"]


def test_visits_are_ordered_by_day_start_and_key() -> None:
    visits = made(minutes(800), minutes(100), minutes(0, person="q"), minutes(0))
    assert visits.equals(visits.sort("event_date", "started_at", "session_id"))


def test_no_events_no_visits() -> None:
    assert made().equals(SESSIONS.empty())


def test_the_key_stays_the_same_from_version_to_version() -> None:
    assert made(minutes(0, event_id="e"))["session_id"].to_list() == ["9444d487877fde55cddf9c2534f7cf88"]


EVENTS = st.lists(
    st.builds(
        minutes,
        st.integers(0, 60 * 60),
        st.sampled_from(EVENT_TYPES),
        st.sampled_from("pq"),
        session_id=st.sampled_from([None, None, "s", "t"]),
        product_id=st.sampled_from("ab"),
        quantity=st.integers(1, 3),
        unit_price_micros=st.sampled_from([None, 0, MICROS]),
        device=st.sampled_from([None, "mobile", "desktop"]),
    ),
    max_size=12,
).map(lambda found: [event | {"event_id": f"{place:02}"} for place, event in enumerate(found)])


@settings(deadline=None)
@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(events: list[dict[str, object]], random: Random) -> None:
    assert made(*events).equals(made(*random.sample(events, len(events))))


@settings(deadline=None)
@given(EVENTS)
def test_visits_partition_the_events(events: list[dict[str, object]]) -> None:
    visits = made(*events)
    assert visits["session_id"].is_unique().all()
    kinds = [event["event_type"] for event in events]
    seen = {
        (event["event_date"], event["user_key"], event["session_id"])
        for event in events
        if event["event_type"] != "return"
    }
    counted = [event for event in events if (event["event_date"], event["user_key"], event["session_id"]) in seen]
    assert visits["events"].sum() == len(counted)
    assert visits["purchases"].sum() == kinds.count("purchase")
    assert visits["clicks"].sum() == kinds.count("click") + kinds.count("search_click")
    assert visits["value_micros"].sum() == sum(
        int(str(event["quantity"])) * int(str(event["unit_price_micros"] or 0))
        for event in events
        if event["event_type"] == "purchase"
    )
    per_person = visits.group_by("person_key").agg(pl.col("events").sum()).sort("person_key").rows()
    people = [str(event["user_key"]) for event in counted]
    assert per_person == [(person, people.count(person)) for person in sorted(set(people))]


@settings(deadline=None)
@given(EVENTS)
def test_a_day_alone_gives_the_visits_that_a_window_gives(events: list[dict[str, object]]) -> None:
    window = made(*events)
    days = {event["event_date"] for event in events}
    alone = [made(*(event for event in events if event["event_date"] == day)) for day in sorted(days, key=str)]
    assert pl.concat([SESSIONS.empty(), *alone]).equals(window)
