"""Every made order has one true intent and trigger, and the events carry the traces of it."""

from copy import deepcopy
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_assets.logic.copy_facts import TRIGGERS
from recsys_assets.logic.simulate import days
from recsys_assets.logic.simulated_intents import (
    ACCESSORY,
    ACCESSORY_DAYS,
    CART_DAYS,
    EXPLORE,
    GIFT,
    GIFT_LAST_DAY,
    GIFT_WINDOW,
    IN_CART,
    INTENTS,
    ON_PAGE,
    POST_PURCHASE,
    UPGRADE,
    UPGRADE_DAYS,
    Plans,
    Trips,
    order_truth,
    plan,
    visits,
)
from recsys_assets.logic.simulated_shop import LABEL, Scale, Shop, make_shop, truth

SCALE = Scale(users=400, products=480, days=100, first_day=date(2026, 1, 1), seed=11, visits_per_month=8)
BACK = CART_DAYS  # who only looked, or left a cart, is back by then


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(SCALE)


@pytest.fixture(scope="module")
def drawn(shop: Shop) -> tuple[pl.DataFrame, pl.DataFrame]:
    made = list(days(shop))
    return pl.concat([day.events for day in made]), pl.concat([day.orders for day in made])


@pytest.fixture(scope="module")
def events(drawn: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    return drawn[0]


@pytest.fixture(scope="module")
def orders(drawn: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    return drawn[1]


@pytest.fixture(scope="module")
def lines(shop: Shop, events: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """What was bought, with what is true of the product and the order."""
    facts = truth(shop)["products"]
    sold = events.filter(pl.col("event_type") == "purchase").join(facts, on="product_id")
    return sold.join(orders.select("order_id", "order_date", "intent", "trigger", main="category"), on="order_id")


def earlier(lines: pl.DataFrame, of: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a line ``of`` an order and a line that the same person bought before."""
    pairs = of.join(lines, on="user_id", suffix="_before")
    return pairs.filter(pl.col("event_time_before") < pl.col("event_time"))


def test_every_order_has_one_row_of_truth_which_adds_up(lines: pl.DataFrame, orders: pl.DataFrame) -> None:
    assert orders["order_id"].is_unique().all()
    assert set(orders["intent"]) == set(INTENTS)
    assert set(orders["trigger"]) == set(TRIGGERS)
    cents = (pl.col("unit_price") * 100).round().cast(pl.Int64) * pl.col("quantity")
    main = (
        lines.group_by("order_id", "user_id", pl.col("event_time").dt.date().alias("order_date"), "category")
        .agg(cents.sum().alias("cents"))
        .sort("order_id", "cents", descending=[False, True])
    )
    most = main.filter(pl.col("cents") == pl.col("cents").max().over("order_id"))
    assert set(most["order_id"]) == set(orders["order_id"])
    assert orders.join(most, on=["order_id", "user_id", "order_date", "category"], how="anti").is_empty()


def test_intents_are_unbalanced_and_each_can_be_learnt(orders: pl.DataFrame) -> None:
    share = dict(orders["intent"].value_counts(normalize=True).iter_rows())
    assert max(share, key=lambda intent: share[intent]) == "explore"
    assert min(share.values()) > 0.04


def test_an_accessory_goes_with_a_lasting_product_bought_shortly_before(shop: Shop, lines: pl.DataFrame) -> None:
    bought = lines.filter(pl.col("intent") == "accessory")
    goes_with = truth(shop)["companions"].rename({"category": "category_before", "companion": "category"})
    assert bought.filter(~pl.col("trigger").is_in(["post-purchase", "in-cart"])).is_empty()
    pairs = earlier(lines, bought).join(goes_with, on=["category_before", "category"])
    wait = pl.col("order_date") - pl.col("order_date_before")
    pairs = pairs.filter(
        pl.col("cycle_days_before").is_null(),
        pl.col("intent_before") != "gift",
        wait <= timedelta(ACCESSORY_DAYS + 2 * BACK),
    )
    assert bought.height > 100
    assert set(pairs["order_id"]) == set(bought["order_id"])


def test_an_upgrade_is_of_a_higher_tier_of_a_kind_owned(lines: pl.DataFrame) -> None:
    bought = lines.filter(pl.col("intent") == "upgrade")
    pairs = earlier(lines, bought).filter(
        pl.col("category") == pl.col("category_before"),
        pl.col("price_tier") > pl.col("price_tier_before"),
        pl.col("order_date") - pl.col("order_date_before") >= timedelta(UPGRADE_DAYS[0]),
    )
    assert bought.height > 100
    assert bought["cycle_days"].is_null().all()
    assert set(pairs["order_id"]) == set(bought["order_id"])


def test_replenishing_repeats_what_is_used_up(lines: pl.DataFrame) -> None:
    bought = lines.filter(pl.col("intent") == "replenish")
    pairs = earlier(lines, bought).filter(
        pl.col("product_id") == pl.col("product_id_before"), pl.col("intent_before") != "gift"
    )
    assert bought["cycle_days"].is_not_null().all()
    assert pairs.select("order_id", "product_id").unique().height == bought.height > 100


def test_what_was_in_the_cart_was_put_there_by_a_visit_that_did_not_buy(
    lines: pl.DataFrame, events: pl.DataFrame
) -> None:
    bought = lines.filter(pl.col("trigger") == "in-cart").select("order_id", "user_id", "product_id", "order_date")
    filled = events.filter(pl.col("event_type") == "add_to_cart").join(
        lines, on=["session_id", "product_id"], how="anti"
    )
    pairs = bought.join(filled, on=["user_id", "product_id"])
    wait = pl.col("order_date") - pl.col("event_time").dt.date()
    pairs = pairs.filter(wait > timedelta(0), wait <= timedelta(CART_DAYS))
    assert bought.height > 100
    assert set(pairs["order_id"]) == set(bought["order_id"])
    again = events.filter(pl.col("order_id").is_in(bought["order_id"].implode())).select("session_id").drop_nulls()
    assert events.filter(pl.col("event_type") == "add_to_cart").join(again, on="session_id", how="semi").is_empty()


def test_who_looked_without_a_cart_may_come_back_and_buy(events: pl.DataFrame, lines: pl.DataFrame) -> None:
    upgrades = lines.filter(pl.col("intent") == "upgrade", pl.col("trigger") == "on-page")
    kinds = lines.select("product_id", "category").unique()
    looked = events.filter(pl.col("event_type") == "view", pl.col("user_id").is_not_null()).join(kinds, on="product_id")
    pairs = upgrades.select("order_id", "user_id", "category", "order_date").join(looked, on=["user_id", "category"])
    wait = pl.col("order_date") - pl.col("event_time").dt.date()
    before = pairs.filter(wait > timedelta(0), wait <= timedelta(BACK))
    assert before["order_id"].n_unique() > 0.15 * upgrades.height


def test_gifts_are_bought_before_personal_dates_and_show_it(
    shop: Shop, lines: pl.DataFrame, events: pl.DataFrame, orders: pl.DataFrame
) -> None:
    bought = lines.filter(pl.col("intent") == "gift")
    dates = truth(shop)["users"].select("user_id", "gift_dates").explode("gift_dates")
    this_year = ("2026-" + pl.col("gift_dates")).str.to_date()
    ahead = (this_year - pl.col("order_date")).dt.total_days()
    near = bought.join(dates, on="user_id").filter(ahead >= 1 - BACK, ahead <= GIFT_WINDOW)
    assert set(near["order_id"]) == set(bought["order_id"])
    assert 0.7 < bought["gift"].sum() / bought.height < 1.0
    departments = set(bought.filter("gift")["category"].str.split(" > ").list.first())
    assert len(departments) > 1
    assert f"{LABEL.title()} Gifts" in departments
    wrapped = events.filter(pl.col("context") == "gift-wrap")
    assert 0 < wrapped.height < bought.height
    assert set(wrapped["order_id"]) <= set(bought["order_id"])
    searched = events.filter(pl.col("query") == "gift")["session_id"].unique()
    led = events.filter(pl.col("order_id").is_not_null(), pl.col("session_id").is_in(searched.implode()))["order_id"]
    assert set(led) <= set(bought["order_id"])
    assert led.n_unique() > 10


def test_tags_of_the_catalogue_say_what_makes_a_gift(shop: Shop) -> None:
    catalog = next(days(shop)).catalog.join(truth(shop)["products"], on="product_id")
    assert (catalog["tags"].list.contains("gift") == catalog["gift"]).all()
    assert catalog["tags"].null_count() == 0


def test_december_is_for_gifts() -> None:
    made = list(days(make_shop(Scale(300, 240, 60, date(2026, 11, 10), seed=2, visits_per_month=8))))
    orders = pl.concat([day.orders for day in made])
    day = pl.col("order_date").dt.day()
    season = (pl.col("order_date").dt.month() == 12) & (day <= GIFT_LAST_DAY)
    share = dict(orders.group_by(season.alias("season")).agg((pl.col("intent") == "gift").mean()).iter_rows())
    assert share[True] > 2 * share[False]


def test_equal_seeds_tell_equal_truths(shop: Shop, orders: pl.DataFrame) -> None:
    assert_frame_equal(pl.concat([day.orders for day in days(make_shop(SCALE))]), orders)


def test_a_day_is_drawn_from_its_number_and_what_was_planned_alone(shop: Shop) -> None:
    plans = Plans.start(shop)
    plans.add(
        Trips.of(np.arange(50), ACCESSORY, POST_PURCHASE, category=np.zeros(50, dtype=np.int64)), np.full(50, 9), 100
    )
    again = deepcopy(plans)
    purse = np.ones(SCALE.users, dtype=bool)
    found = [visits(shop, 9, np.random.default_rng([SCALE.seed, 5, 9]), one, purse) for one in (plans, again)]
    for name in vars(found[0][0]):
        assert (getattr(found[0][0], name) == getattr(found[1][0], name)).all(), name
    assert sorted(plans.trips) == sorted(again.trips)
    assert 9 not in plans.trips


def test_trips_after_the_last_day_are_forgotten(shop: Shop) -> None:
    plans = Plans.start(shop)
    plans.add(Trips.of(np.arange(3), EXPLORE, IN_CART, product=np.arange(3)), np.array([4, 5, 6]), end=6)
    assert {day: sum(len(part.user) for part in parts) for day, parts in plans.trips.items()} == {4: 1, 5: 1}


def test_an_accessory_or_tier_that_came_otherwise_is_not_sought_any_more(shop: Shop) -> None:
    plans = Plans.start(shop)
    plans.owned_tier[0, 3], plans.owned_tier[1, 3] = 0, 2
    user, category = np.array([0, 1]), np.array([3, 3])
    for intent in (ACCESSORY, UPGRADE):
        plans.add(Trips.of(user, intent, ON_PAGE, category=category), np.zeros(2, dtype=np.int64), 9)
    purse = np.ones(SCALE.users, dtype=bool)
    _, trips = visits(shop, 0, np.random.default_rng(1), plans, purse)
    planned = trips.only(trips.intent != GIFT)
    assert list(zip(planned.user, planned.intent, strict=True)) == [(0, UPGRADE)]


def test_a_gift_is_not_the_buyers(shop: Shop) -> None:
    plans = Plans.start(shop)
    sold = pl.DataFrame({"_user": [0, 1], "_product": [0, 0], "_gift": [True, False]})
    none, _ = visits(shop, 0, np.random.default_rng(1), Plans.start(shop), np.ones(SCALE.users, dtype=bool))
    plan(shop, 0, np.random.default_rng(1), plans, sold, none.only(np.zeros(len(none.user), dtype=bool)))
    assert plans.owned_tier[:2, 0].tolist() == [-1, 0]


def test_the_main_category_is_the_one_most_is_spent_on_and_of_equal_ones_the_first(shop: Shop) -> None:
    a, b = (int(np.flatnonzero(shop.category == number)[0]) for number in (0, 1))
    sold = pl.DataFrame({
        "_session": [0, 0, 2, 2], "_user": [5, 5, 6, 6], "_product": [a, b, b, a],
        "_cents": [300, 200, 200, 100], "quantity": [1, 2, 1, 2],
    })  # fmt: skip
    told = order_truth(shop, 3, sold, np.array([EXPLORE, EXPLORE, GIFT]), np.array([ON_PAGE, ON_PAGE, IN_CART]))
    assert told.rows() == [  # 2 × 200 > 300; 200 = 2 × 100
        (f"{LABEL}-order-3-0", f"{LABEL}-user-5", date(2026, 1, 4), "explore", "on-page", shop.categories[1]),
        (f"{LABEL}-order-3-2", f"{LABEL}-user-6", date(2026, 1, 4), "gift", "in-cart", shop.categories[0]),
    ]


@pytest.mark.parametrize("seed", range(4))  # 0 and 2: nothing there is tagged as a gift
def test_the_smallest_shop_has_no_accessories_and_still_gifts(seed: int) -> None:
    shop = make_shop(Scale(1, 12, 80, date(2026, 11, 1), seed=seed, visits_per_month=30))
    made = list(days(shop))
    orders = pl.concat([day.orders for day in made])
    sold = pl.concat([day.events for day in made]).filter(pl.col("event_type") == "purchase")
    assert set(orders["order_id"]) == set(sold["order_id"])
    assert truth(shop)["companions"].is_empty()
    assert shop.gift.any() == (seed not in {0, 2})
    assert {"explore", "gift"} <= set(orders["intent"])
    assert "accessory" not in set(orders["intent"])
