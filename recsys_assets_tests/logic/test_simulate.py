"""What is true of a made shop shows in its events, and nothing else does."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_assets.contract import FIELDS
from recsys_assets.errors import SettingsError
from recsys_assets.logic import simulate
from recsys_assets.logic.simulate import CYCLE_SPREAD, DISCOUNT, days
from recsys_assets.logic.simulated_intents import Seen, Trips, visits
from recsys_assets.logic.simulated_shop import LABEL, Scale, Shop, make_shop, truth, users_file

SCALE = Scale(users=400, products=300, days=120, first_day=date(2026, 1, 1), seed=7, visits_per_month=8)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(SCALE)


@pytest.fixture(scope="module")
def events(shop: Shop) -> pl.DataFrame:
    return pl.concat([day.events for day in days(shop)])


@pytest.fixture(scope="module")
def bought(shop: Shop, events: pl.DataFrame) -> pl.DataFrame:
    facts = truth(shop)
    sold = events.filter(pl.col("event_type") == "purchase")
    return sold.join(facts["products"], on="product_id").join(facts["users"], on="user_id", suffix="_of_user")


@pytest.fixture(scope="module")
def without_trips() -> pl.DataFrame:
    """The same shop's events if nobody set out for an accessory, an upgrade, a gift or what lay in a cart."""

    def none(*arguments: Any) -> tuple[Seen, Trips]:
        seen, trips = visits(*arguments)
        return seen.only(np.zeros(len(seen.user), dtype=bool)), trips.only(np.zeros(len(trips.user), dtype=bool))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "visits", none)
        return pl.concat([day.events for day in days(make_shop(SCALE))])


def test_equal_seeds_make_equal_shops_and_others_do_not(events: pl.DataFrame) -> None:
    again = pl.concat([day.events for day in days(make_shop(SCALE))])
    assert again.equals(events)
    other = next(days(make_shop(Scale(**(vars(SCALE) | {"seed": 8})))))
    assert not other.events.equals(events.head(other.events.height))


def test_columns_are_the_contracts_and_every_name_says_synthetic(shop: Shop, events: pl.DataFrame) -> None:
    first = next(days(shop))
    assert set(events.columns) <= {field.name for field in FIELDS["events"]}
    assert set(first.catalog.columns) <= {field.name for field in FIELDS["catalog"]}
    for frame, names in (
        (events, ("event_id", "user_id", "anon_id", "session_id", "product_id", "order_id")),
        (first.catalog, ("product_id", "name", "category", "brand")),
        (users_file(shop), ("user_id", "attributes")),
    ):
        for name in names:
            assert frame[name].drop_nulls().str.to_lowercase().str.contains(LABEL, literal=True).all(), name


def test_all_types_occur_ids_are_unique_and_days_are_whole(shop: Shop, events: pl.DataFrame) -> None:
    assert set(events["event_type"]) == {
        "search", "search_click", "click", "view", "add_to_cart", "remove_from_cart", "purchase", "return",
    }  # fmt: skip
    assert events["event_id"].is_unique().all()
    assert events["event_time"].dt.date().n_unique() == SCALE.days
    assert events["event_time"].is_sorted()


def test_people_buy_from_their_favourites_in_their_tier(bought: pl.DataFrame) -> None:
    favourite = bought.filter(pl.col("category") == pl.col("favourite_category")).height / bought.height
    assert favourite > 0.4
    own_tier = bought.filter(pl.col("price_tier") == pl.col("price_tier_of_user")).height / bought.height
    assert own_tier > 0.7


def test_what_is_used_up_comes_back_after_its_cycle(bought: pl.DataFrame) -> None:
    single = bought.filter(pl.col("cycle_days") == 14, pl.col("quantity") == 1).sort("event_time")
    gap = single.with_columns(
        gap=(pl.col("event_time").dt.date() - pl.col("event_time").dt.date().shift().over("user_id", "product_id"))
    )["gap"].drop_nulls()
    assert len(gap) > 100
    days_between = gap.dt.total_days()
    assert days_between.median() == pytest.approx(14, abs=2)
    assert days_between.is_between(14 * (1 - 3 * CYCLE_SPREAD), 14 * (1 + 3 * CYCLE_SPREAD)).mean() > 0.6  # type: ignore[operator]


def spent_before(bought: pl.DataFrame) -> pl.DataFrame:
    """Lines with what the person had spent in the month before the day."""
    cost = (pl.col("unit_price") * pl.col("quantity")).sum()
    daily = (
        bought.group_by("user_id", pl.col("event_time").dt.date().alias("day"))
        .agg(cost.alias("cost"))
        .sort("user_id", "day")
        .with_columns(before=pl.col("cost").cum_sum().over("user_id", pl.col("day").dt.month()) - pl.col("cost"))
    )
    return bought.with_columns(day=pl.col("event_time").dt.date()).join(daily, on=["user_id", "day"])


def test_nobody_browses_needs_or_sets_out_to_buy_with_the_months_budget_spent(
    bought: pl.DataFrame, without_trips: pl.DataFrame
) -> None:
    over = pl.col("before") >= pl.col("monthly_budget") + 0.001
    usual = spent_before(bought.join(without_trips, on="event_id", how="semi"))
    assert usual.filter(over).is_empty()
    assert usual["before"].max() > 0  # type: ignore[operator]
    everything = spent_before(bought)
    assert everything.join(without_trips, on="event_id", how="anti").filter(over).is_empty()
    assert 0 < everything.filter(over).height < 0.1 * bought.height  # trips cost, and the usual goes on


def test_trips_add_to_what_happens_and_change_none_of_it(events: pl.DataFrame, without_trips: pl.DataFrame) -> None:
    kept = events.join(without_trips, on="event_id", how="semi", maintain_order="left")
    assert kept.equals(without_trips)
    assert without_trips.height < events.height < 1.5 * without_trips.height


def test_returns_name_an_earlier_order_at_its_price(events: pl.DataFrame) -> None:
    returns = events.filter(pl.col("event_type") == "return")
    orders = events.filter(pl.col("event_type") == "purchase")
    matched = returns.join(orders, on=["order_id", "product_id", "user_id"], suffix="_order")
    assert returns.height > 20
    assert matched.height >= returns.height
    matched = matched.filter(pl.col("quantity") == -pl.col("quantity_order"))
    assert (matched["unit_price"] == matched["unit_price_order"]).all()
    assert (matched["event_time"] > matched["event_time_order"]).all()


def test_offers_are_in_catalogue_and_receipts(shop: Shop, bought: pl.DataFrame) -> None:
    offered = bought.filter(pl.col("unit_price") < pl.col("list_price"))
    assert 0 < offered.height < bought.height / 4
    ratio = offered["unit_price"] / offered["list_price"]
    assert ratio.is_between(1 - DISCOUNT - 0.01, 1 - DISCOUNT + 0.01).all()
    changes = [day.catalog.height for day in days(shop)]
    assert changes[0] == SCALE.products
    assert all((height > 0) == (number % 7 == 0) for number, height in enumerate(changes))


def test_the_season_moves_views() -> None:
    shop = make_shop(Scale(users=600, products=480, days=364, first_day=date(2026, 1, 1), seed=3))
    facts = truth(shop)["products"]
    peaks = set(facts.filter(pl.col("peak_month") == 5)["product_id"])
    views: dict[int, int] = {}
    for day in days(shop):
        if day.number % 5 == 0:
            seen = day.events.filter(pl.col("event_type") == "view", pl.col("product_id").is_in(peaks)).height
            month = day.events["event_time"][0].month
            views[month] = views.get(month, 0) + seen
    assert views[5] > 1.3 * views[11]  # half the views go to favourites, whatever the month


def test_too_small_a_shop_is_refused() -> None:
    with pytest.raises(SettingsError, match="12 products"):
        Scale(users=1, products=3, days=1, first_day=date(2026, 1, 1), seed=1)
