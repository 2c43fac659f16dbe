"""Small histories against a slow ledger in plain loops: what is left of what people bought, and what it was worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.item_stats import item_stats
from recsys_assets.logic.profiles import user_profiles
from recsys_assets.logic.returns import share
from recsys_assets.logic.sessions import sessions
from recsys_assets.logic.split import Window
from recsys_assets.tables import CATALOG, ITEM_STATS, MICROS, PRICE_TIERS, USERS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import event, events

DAY = date(2024, 12, 31)
TUNING = Tuning(window_days=30)
Line = dict[str, Any]


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def line(days: int, kind: str = "purchase", units: int = 1, *, price: int | None = 10, **more: Any) -> Line:
    """One line of person p and product a, unless told; ``price`` is in whole money."""
    who, what = more.pop("person", "p"), more.pop("product", "a")
    made = event(who, what, ago(days), kind, quantity=units if kind == "purchase" else -units, **more)
    return made | {"unit_price_micros": None if price is None else price * MICROS}


@dataclass
class Lot:
    """What one order sold of one product to one person on one day."""

    order: str | None
    day: date
    at: Any
    units: int
    known: int = 0
    paid: int = 0
    back: int = 0
    back_unpriced: int = 0

    def worth(self, units: int) -> int:
        """What ``units`` of it had cost; those without a price come back first."""
        told = min(units, self.known)
        return self.paid * told // self.known if self.known else 0


def ledger(lines: Sequence[Line]) -> dict[tuple[str, str], list[Lot]]:
    """Person and product → lots, after returns."""
    lots: dict[tuple[str, str], list[Lot]] = {}
    for one in (one for one in lines if one["event_type"] == "purchase"):
        own = lots.setdefault((one["user_key"], one["product_id"]), [])
        same = [lot for lot in own if (lot.order, lot.day) == (one["order_id"], one["event_date"])]
        if not same:
            own.append(Lot(one["order_id"], one["event_date"], one["event_time"], 0))
        lot = same[0] if same else own[-1]
        lot.units += one["quantity"]
        lot.at = min(lot.at, one["event_time"])
        if one["unit_price_micros"] is not None:
            lot.known += one["quantity"]
            lot.paid += one["quantity"] * one["unit_price_micros"]
    returns = [one for one in lines if one["event_type"] == "return"]
    for one in sorted(
        returns, key=lambda one: (one["event_time"], _unnamed(lots, one), one["unit_price_micros"] is None)
    ):
        newest = sorted(
            lots.get((one["user_key"], one["product_id"]), []),
            key=lambda lot: (lot.day, lot.at, f"order {lot.order}" if lot.order else f"day {lot.day}"), reverse=True,
        )  # fmt: skip
        day, at, order = one["event_date"], one["event_time"], one["order_id"]
        wanted = -one["quantity"]
        for fits in (
            lambda lot, day=day, order=order: order is not None and lot.order == order and lot.day <= day,
            lambda lot, day=day: lot.day < day,
            lambda lot, day=day, at=at: lot.day == day and lot.at <= at,
        ):
            for lot in newest:
                if fits(lot):
                    taken = min(wanted, lot.units - lot.back)
                    lot.back += taken
                    lot.back_unpriced += taken if one["unit_price_micros"] is None else 0
                    wanted -= taken
    return lots


def _unnamed(lots: dict[tuple[str, str], list[Lot]], one: Line) -> bool:
    own = lots.get((one["user_key"], one["product_id"]), [])
    return one["order_id"] is None or all(lot.order != one["order_id"] for lot in own)


LINES = st.lists(
    st.builds(
        lambda person, product, days, kind, units, price, order, hour: line(
            days, kind, units, price=price, person=person, product=product, order=order, hour=hour
        ),
        st.sampled_from("pq"), st.sampled_from("ab"), st.integers(0, 4),
        st.sampled_from(["purchase", "purchase", "return", "view"]), st.integers(1, 3),
        st.sampled_from([None, 0, 10, 20]), st.sampled_from([None, None, "1", "2"]), st.integers(8, 11),
    ),
    max_size=14,
).map(lambda found: [one | {"event_id": f"{place:02}"} for place, one in enumerate(found)])  # fmt: skip


def profiles(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    frame = events(*lines)
    made = user_profiles(frame, sessions(frame, 30), ITEM_STATS.empty(), USERS.empty(), DAY, TUNING, "UTC")
    return {row["person_key"]: row for row in made.iter_rows(named=True)}


@settings(deadline=None, max_examples=100)
@given(LINES)
def test_interactions_are_what_the_ledger_has_left(lines: list[Line]) -> None:
    lots = ledger(lines)
    made = {
        (row["person_key"], row["product_id"]): row
        for row in interactions(events(*lines), DAY, TUNING).iter_rows(named=True)
    }
    for pair in {(one["user_key"], one["product_id"]) for one in lines}:
        kept = [(lot, lot.units - lot.back) for lot in lots.get(pair, []) if lot.units > lot.back]
        row = made.get(pair)
        if row is None:
            assert not kept
            continue
        known = sum(min(lot.known, left) for lot, left in kept)
        assert row["units"] == sum(left for _, left in kept)
        assert row["purchases"] == len({lot.day for lot, _ in kept})
        assert row["last_purchase_date"] == max((lot.day for lot, _ in kept), default=None)
        assert row["priced_units"] == known
        spend = sum(lot.worth(left) for lot, left in kept)
        assert row["spend_micros"] == (spend if known or not kept else None)


def unknown(one: Line, sold: Sequence[Line]) -> bool:
    """Whether the person bought the product, and never at a price that is known."""
    bought = [
        line["unit_price_micros"]
        for line in sold
        if line["product_id"] == one["product_id"] and line["event_type"] == "purchase"
    ]
    return bool(bought) and all(price is None for price in bought)


@settings(deadline=None, max_examples=100)
@given(LINES)
def test_lifetime_value_and_visits_are_those_of_the_ledger(lines: list[Line]) -> None:
    lots, made = ledger(lines), profiles(lines)
    assert set(made) == {one["user_key"] for one in lines}
    for person, row in made.items():
        own = [one for one in lines if one["user_key"] == person]
        sold = [one for one in own if one["event_type"] in ("purchase", "return")]
        prices = [one for one in sold if one["unit_price_micros"] is not None and not unknown(one, sold)]
        paid = [one for one in prices if one["event_type"] == "purchase"]
        value = sum(one["quantity"] * one["unit_price_micros"] for one in prices)
        for (who, _), found in lots.items():
            if who == person:
                value -= sum(lot.paid - lot.worth(lot.units - lot.back_unpriced) for lot in found)
        bought = any(one["event_type"] == "purchase" for one in own)
        assert row["lifetime_value_micros"] == (value if paid or not bought else None)
        assert row["last_visit_date"] == max(
            (one["event_date"] for one in own if one["event_type"] != "return"), default=None
        )
        assert (row["spending_segment"] is not None) == (bought and bool(paid))


@settings(deadline=None, max_examples=60)
@given(LINES, st.integers(0, 3))
def test_the_truth_of_a_window_is_what_the_ledger_has_left_of_its_days(lines: list[Line], days: int) -> None:
    window = Window(ago(days + 1), ago(0))
    kept = {
        pair for pair, lots in ledger(lines).items() for lot in lots if lot.units > lot.back and lot.day > ago(days + 1)
    }
    assert set(window.purchases(events(*lines)).rows()) == kept


def one(*lines: Line) -> dict[str, Any]:
    made = interactions(events(*lines), DAY, TUNING)
    assert made.height <= 1
    return made.row(0, named=True) if made.height else {}


def test_bought_twice_and_both_returned_without_orders_leaves_nothing() -> None:
    """The second return was held against the order that was back already: "You bought this once"."""
    bought = [line(9, order="1"), line(8, order="2")]
    assert one(*bought, line(7, "return"), line(6, "return", hour=13)) == {}
    assert one(*bought, line(7, "return", 2)) == {}
    assert one(*bought, line(7, "return", order="a credit note"))["last_purchase_date"] == ago(9)


@pytest.mark.parametrize("hours", [(9, 10), (10, 10), (10, 9)])
@pytest.mark.parametrize("order", [None, "new"])
def test_an_exchange_on_one_day_leaves_the_new_one(hours: tuple[int, int], order: str | None) -> None:
    """Whichever line comes first; the two orders of rows are tried as well."""
    lines = [line(9), line(2, "return", hour=hours[0]), line(2, hour=hours[1], order=order)]
    for given_lines in (lines, lines[::-1]):
        row = one(*given_lines)
        assert (row["units"], row["purchases"], row["last_purchase_date"]) == (1, 1, ago(2))


def test_a_return_of_older_units_takes_nothing_from_the_window() -> None:
    window = Window(ago(5), DAY)
    again = [line(9, units=2, order="1"), line(4, "return", 2, order="1"), line(3, order="2")]
    assert window.purchases(events(*again)).rows() == [("p", "a")]
    assert window.purchases(events(*again, line(1, "return"))).is_empty()


def test_a_return_without_a_price_takes_the_price_paid() -> None:
    bought = line(9, price=100)
    assert profiles([bought, line(8, "return", price=None)])["p"]["lifetime_value_micros"] == 0
    assert profiles([bought, line(8, "return", price=90)])["p"]["lifetime_value_micros"] == 10 * MICROS
    thirds = line(9, units=3, price=None) | {"unit_price_micros": 3_333_333}
    back = [line(8, "return", price=None, hour=hour) for hour in (9, 10, 11)]
    assert profiles([thirds, *back])["p"]["lifetime_value_micros"] == 0


def test_what_came_back_of_a_purchase_without_a_price_takes_nothing_from_the_others() -> None:
    """-20, and the segment of those who spend least; with a purchase of 10 it was -10."""
    unpriced = [line(9, price=None), line(8, "return", price=20)]
    alone, beside = profiles(unpriced)["p"], profiles([*unpriced, line(7, product="b")])["p"]
    assert (alone["lifetime_value_micros"], alone["spending_segment"]) == (None, None)
    assert beside["lifetime_value_micros"] == 10 * MICROS
    assert profiles([line(8, "return", price=20)])["p"]["lifetime_value_micros"] == -20 * MICROS


def test_a_return_is_no_visit() -> None:
    row = profiles([line(9, hour=8), line(2, "return")])["p"]
    assert (row["last_visit_date"], row["days_since_last_visit"], row["conversion_rate"]) == (ago(9), 9, 1)


def test_unknown_prices_are_in_no_average() -> None:
    """10, ?, 20 and (10, ?): 13.33. With the unknown ones as 0 it was 8.75, and product b had a ratio of 0."""
    priced = [line(9, product=name, price=price) for name, price in (("a", 10), ("b", None), ("c", 20), ("d", 10))]
    made = interactions(events(*priced, line(8, product="d", price=None)), DAY, TUNING)
    ratios = made["spending_ratio"].to_list()
    usual = (10 + 20 + 10) / 3
    assert ratios == [pytest.approx(10 / usual), None, pytest.approx(20 / usual), pytest.approx(10 / usual)]
    assert made["spend_micros"].to_list() == [10 * MICROS, None, 20 * MICROS, 10 * MICROS]


def test_a_shop_without_prices_has_no_spending_segments() -> None:
    made = profiles([line(9, person=name, price=None) for name in "pqr"])
    assert {(row["spending_segment"], row["lifetime_value_micros"]) for row in made.values()} == {(None, None)}
    known = profiles([line(9, person="p", price=None), line(9, person="q", price=5)])
    assert (known["p"]["spending_segment"], known["q"]["spending_segment"]) == (None, "small")


def test_a_million_units_do_not_run_over() -> None:
    """-8.4 million came out of 10 million."""
    many = line(9, units=1_000_000)
    assert one(many)["spend_micros"] == 10_000_000 * MICROS
    assert one(many, line(8, "return", 1))["spend_micros"] == 9_999_990 * MICROS
    top, most = 10**15, 10**6
    assert pl.select(share(pl.lit(top), pl.lit(most - 1), pl.lit(most))).item() == top * (most - 1) // most


def test_a_click_rate_is_a_share() -> None:
    shown = [line(9, "impression"), *(line(9, "click", hour=hour) for hour in range(5))]
    assert profiles(shown)["p"]["click_rate"] == 1
    assert profiles([*shown, line(9, "impression", product="b")])["p"]["click_rate"] == 1 / 2
    assert profiles([line(9, "impression"), line(9, "click", product="b")])["p"]["click_rate"] == 0


def test_constant_sales_of_33_days_have_no_trend() -> None:
    sold = events(*(line(days) for days in range(33)))
    made = item_stats(sold, CATALOG.empty(), PRICE_TIERS.empty(), DAY, Tuning())
    assert made["trend"].to_list() == [1.0]
    assert item_stats(sold, CATALOG.empty(), PRICE_TIERS.empty(), ago(3), Tuning())["trend"].to_list() == [None]
