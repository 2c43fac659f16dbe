"""Numbers of people and sessions: the same under any keys, one for each, in every order of rows."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.identity import KeyRing
from recsys_assets.logic.people_order import called_by_number, numbers
from recsys_assets.tables import CLEAN_EVENTS
from recsys_assets_tests.published import frame

ONE, OTHER = KeyRing(b"a secret of one home"), KeyRing(b"the secret of another")
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from("abcd"), "session": st.sampled_from(["s", "t", None]), "hour": st.integers(8, 10),
            "product_id": st.sampled_from(["p", "q", None]), "order_id": st.sampled_from(["1", "2", None]),
            "quantity": st.sampled_from([1, 2, None]), "event_type": st.sampled_from(["purchase", "view"]),
        }
    ),
    min_size=1, max_size=12,
)  # fmt: skip


def events(rows: list[dict[str, Any]], keys: KeyRing) -> pl.DataFrame:
    """As a home with these keys has them; event ids are keyed as where the shop sends none."""
    made = []
    for place, row in enumerate(rows):
        own = {name: value for name, value in row.items() if name not in ("user", "session", "hour")}
        session = row["session"] and keys.session_key(row["user"] + row["session"])
        at = datetime(2024, 3, 1, row["hour"], tzinfo=UTC)
        made.append(
            own
            | {"event_id": keys.session_key(str(place)), "user_key": keys.user_key(row["user"])}
            | {"session_id": session, "event_time": at, "event_date": at.date()}
        )
    return frame(CLEAN_EVENTS, made)


def called(rows: list[dict[str, Any]], keys: KeyRing) -> pl.DataFrame:
    made = events(rows, keys)
    return called_by_number(made, numbers(made))


@given(EVENTS)
def test_each_key_has_one_number_and_no_number_has_two(rows: list[dict[str, Any]]) -> None:
    for keys in (ONE, OTHER):
        made = events(rows, keys)
        numbered = called(rows, keys)
        for name in ("user_key", "session_id"):
            assert made[name].is_null().equals(numbered[name].is_null())
            pairs = set(zip(made[name], numbered[name], strict=True))
            assert len(pairs) == made[name].n_unique() == numbered[name].n_unique()


def test_numbers_follow_what_people_did_whatever_their_keys() -> None:
    rows: list[dict[str, Any]] = [
        {"user": user, "session": session, "hour": hour, "product_id": product, "order_id": order, "quantity": 1,
         "event_type": "purchase"}
        for user, session, hour, product, order in (
            ("a", "s", 8, "p", "1"), ("a", "t", 8, "q", "2"), ("b", "s", 8, "p", "1"), ("b", "s", 8, "q", "1"),
            ("c", None, 9, "p", None), ("d", None, 8, "q", None), ("e", None, 9, "q", None),
            ("f", None, 9, "q", None),  # as e: which of the two comes first does not matter
        )
    ]  # fmt: skip
    one, other = (called(rows, keys).drop("event_id") for keys in (ONE, OTHER))
    order = ["event_time", "product_id", "user_key", "session_id"]
    assert_frame_equal(one.sort(order), other.sort(order))
    assert one["user_key"][0] != one["user_key"][2]  # the same products, in other orders
