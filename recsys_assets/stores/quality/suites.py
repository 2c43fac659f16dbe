"""The suite of each table: what holds for every shop, whatever it sells."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from recsys_assets.contract import MAX_AMOUNT
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.reasons import REASONS
from recsys_assets.stores.quality.rules import (
    Rule,
    Suite,
    Whole,
    among,
    between,
    dates_between,
    is_set,
    is_unique,
    no_row,
)
from recsys_assets.tables import (
    CATALOG,
    CLEAN_EVENTS,
    EVENT_TYPES,
    LISTS,
    MICROS,
    NEXT_ITEMS,
    PLANS,
    POPULAR_ITEMS,
    SIMILAR_ITEMS,
    USER_PROFILES,
)
from recsys_assets.tuning import Tuning

COVERED = 0.9  # share of the products that may be listed below which a missing name or category is worth a warning
_WHY_NOT = ("banned", "product_unknown", "currency_without_rate", "price_missing", "out_of_stock")
_USER_TYPES = ("new", "sparse", "regular", "loyal")
_SEGMENTS = ("small", "low_average", "average", "high")
_FREE, _LISTED = "nobody is paid to take a product", "no price before discounts is negative"


def clean_events(window: tuple[date, date]) -> Suite:
    """Rules for table CLEAN_EVENTS of the days from ``window[0]`` to ``window[1]``."""
    col = pl.col
    person = pl.coalesce("user_key", "anon_key")
    bought = pl.when(col("event_type") == "purchase").then("product_id").otherwise(pl.lit(""))
    days_apart = (col("event_time").dt.date() - col("event_date")).dt.total_days()
    return Suite(
        CLEAN_EVENTS.name,
        CLEAN_EVENTS.what,
        (
            is_set("event_id_is_set", "event_id", col("event_id"), "every event can be named"),
            is_unique(
                "event_id_is_unique",
                "event_id_hash",
                col("event_id"),
                "an event is there once, however often it was delivered",
            ),
            is_set("event_type_is_set", "event_type_set", col("event_type"), "every event says what happened"),
            among("event_type_is_known", "event_type", EVENT_TYPES, "only types of the contract"),
            is_set("event_time_is_set", "event_time", col("event_time"), "every event says when"),
            is_set("event_date_is_set", "event_date_set", col("event_date"), "every event has its day"),
            dates_between(
                "event_date_in_window", "event_date", *window, f"all days lie from {window[0]} to {window[1]}"
            ),
            between(
                "event_date_near_event_time",
                "days_apart",
                days_apart,
                "the shop's day is at most one off the day in UTC",
                -1,
                1,
            ),
            is_set("person_is_set", "person_key", person, "a user or an anonymous visitor stands behind every event"),
            is_set("purchase_has_product", "purchased_product_id", bought, "every purchase names its product"),
            no_row("quantity_is_not_zero", "a quantity counts something", col("quantity") == 0),
            between("unit_price_not_negative", "unit_price_micros", col("unit_price_micros"), _FREE, 0),
            between("list_price_not_negative", "list_price_micros", col("list_price_micros"), _LISTED, 0),
            between("rating_from_1_to_5", "rating", col("rating"), "reviews give 1 to 5 stars", 1, 5),
        ),
        # A shop may be closed for a day; whether it usually is says the check of volumes.
        (Whole("has_rows", "the shop sent something", pl.len() > 0, _rows(pl.len()), "warn"),),
        ("event_id",),
    )


def catalog(day: date) -> Suite:
    """Rules for table CATALOG of one day."""
    col, offered = pl.col, pl.col("not_recommendable").is_null()
    most = MAX_AMOUNT * MICROS
    return Suite(
        CATALOG.name,
        CATALOG.what,
        (
            is_set("product_id_is_set", "product_id", col("product_id"), "every product can be named"),
            is_unique("product_id_is_unique", "product_id_hash", col("product_id"), "a product is there once"),
            among("not_recommendable_is_known", "not_recommendable", _WHY_NOT, "only reasons that are documented"),
            no_row(
                "offered_has_price",
                "a product that may be listed has a price above 0",
                offered & ~(col("unit_price_micros").fill_null(0) > 0),
            ),
            between("unit_price_in_bounds", "unit_price_micros", col("unit_price_micros"), _FREE, 0, most),
            between("list_price_in_bounds", "list_price_micros", col("list_price_micros"), _LISTED, 0, most),
            no_row(
                "price_not_above_list_price",
                "nothing costs more than before its discount",
                col("unit_price_micros") > col("list_price_micros"),
                "warn",
            ),
            between("rating_from_0_to_5", "rating", col("rating"), "an average of stars", 0, 5),
            dates_between("updated_date_not_in_future", "updated_date", None, day, "no row is of a later day"),
        ),
        (
            Whole(
                "something_is_offered",
                "at least one product may be listed",
                offered.any(),
                pl.format("{} of {} products may be listed{}", offered.sum(), pl.len(), _kept_out()),
            ),
            _covered("names", "name", offered),
            _covered("categories", "category", offered),
        ),
        ("product_id",),
    )


def lists(tuning: Tuning, people: int, emptied: int = 0) -> Suite:
    """Rules for table LISTS, in its order and with the columns of `beside`.

    Args:
        tuning: the knobs of the lists.
        people: who has candidates; each should have a list,
        emptied: but so many of them, of whom the shop's own rules take every candidate out.
    """
    col, person = pl.col, pl.col("person_key")
    before = col("position").forward_fill().shift(1).over("person_key", order_by="rank").fill_null(0)
    missing = pl.lit(people - emptied) - person.n_unique()
    return Suite(
        LISTS.name,
        LISTS.what,
        (
            is_set("person_is_set", "person_key", person, "every row is of somebody"),
            *_ranked(
                ["person_key"], "product_id", "a list", tuning.pins, tuning.diversity.strength, tuning.served_list_size
            ),
            *_listed("product_id"),
            between("score_is_a_number", "score_set", _number("score"), "no score is missing or not a number", 1, 1),
            between("confidence_is_a_share", "confidence", col("confidence"), "shares lie from 0 to 1", 0, 1),
            is_set("reason_is_set", "reason", _text("reason"), "every product says why it is there"),
            among("reason_code_is_known", "reason_code", REASONS, "only reasons that are documented"),
            between(
                "served_list_is_no_longer_than_asked",
                "position",
                col("position"),
                "places go from 1 to served_list_size",
                1,
                tuning.served_list_size,
            ),
            between(
                "position_without_gaps",
                "position_step",
                col("position") - before,
                "each place is taken by one product",
                1,
                1,
            ),
            no_row(
                "somebody_is_served_nothing",
                "every list has a product that is served",
                col("position").is_null().all().over("person_key"),
            ),
        ),
        (
            Whole(
                "nobody_is_missing",
                "everybody with candidates has a list",
                missing == 0,
                pl.format("{} people have candidates and no list", missing),
            ),
            Whole(
                "rules_leave_something",
                "the shop's rules leave everybody a product",
                pl.lit(emptied) == 0,
                pl.lit(
                    f"of {emptied} people with candidates the rules take out every one (the asset lists says which "
                    "rules took out what); they are shown what is popular"
                ),
                "warn",
            ),
        ),
        ("person_key", "rank"),
    )


def similar_items() -> Suite:
    """Rules for table SIMILAR_ITEMS, in its order and with the columns of `beside`."""
    col = pl.col
    return Suite(
        SIMILAR_ITEMS.name,
        SIMILAR_ITEMS.what,
        (
            is_set("product_id_is_set", "product_id", col("product_id"), "every row is of a product"),
            *_ranked(["product_id"], "similar_product_id", "a product's neighbours"),
            *_listed("similar_product_id"),
            no_row("not_itself", "no product is its own neighbour", col("product_id") == col("similar_product_id")),
            between("confidence_is_a_share", "confidence", col("confidence"), "shares lie from 0 to 1", 0, 1),
        ),
        order=("product_id", "rank"),
    )


def next_items() -> Suite:
    """Rules for table NEXT_ITEMS, in its order and with the columns of `beside`."""
    col = pl.col
    return Suite(
        NEXT_ITEMS.name,
        NEXT_ITEMS.what,
        (
            is_set("product_id_is_set", "product_id", col("product_id"), "every row is of a product"),
            *_ranked(["product_id"], "next_product_id", "what is taken after a product"),
            is_set("product_is_known", "known", col("_known"), "the catalogue has every next_product_id"),
            no_row("product_is_recommendable", "nothing that may not be listed", col("_why_not").is_not_null()),
            no_row("not_itself", "no product follows itself", col("product_id") == col("next_product_id")),
            between("score_above_0", "score", col("score"), "a rule says something", 0),
        ),
        order=("product_id", "rank"),
    )


def popular_items(tuning: Tuning) -> Suite:
    """Rules for table POPULAR_ITEMS, in its order and with the columns of `beside`."""
    col = pl.col
    overall = (col("category") == "").sum()
    return Suite(
        POPULAR_ITEMS.name,
        POPULAR_ITEMS.what,
        (
            is_set("category_is_set", "category", col("category"), "a category, or the empty word for all"),
            *_ranked(["category"], "product_id", "a popular list"),
            *_listed("product_id"),
            between(
                "enough_buyers",
                "buyers",
                col("buyers"),
                f"k_anonymity: at least {tuning.k_anonymity} people stand behind each count",
                tuning.k_anonymity,
            ),
            is_set("reason_is_set", "reason", _text("reason"), "every product says why it is there"),
        ),
        (
            Whole(
                "overall_list_is_not_empty",
                "there is something popular to show to anybody",
                overall > 0,
                pl.format(
                    f"{{}} popular products overall: k_anonymity asks for {tuning.k_anonymity} people who bought or "
                    f"looked at one in {tuning.window_days} days",
                    overall,
                ),
                "warn",
            ),
        ),
        ("category", "rank"),
    )


def user_profiles(day: date) -> Suite:
    """Rules for table USER_PROFILES of one day."""
    col = pl.col
    return Suite(
        USER_PROFILES.name,
        USER_PROFILES.what,
        (
            is_set("person_is_set", "person_key", col("person_key"), "every row is of somebody"),
            no_row("person_is_unique", "one row per person", col("person_key").is_duplicated()),
            among("user_type_is_known", "user_type", _USER_TYPES, "only types that are documented"),
            among("spending_segment_is_known", "spending_segment", _SEGMENTS, "only segments that are documented"),
            between("purchases_not_negative", "purchases", col("purchases"), "counts are 0 or more", 0),
            between("orders_not_above_purchases", "lines_per_order", _per_order(), "an order has a line or more", 1),
            between("conversion_is_a_share", "conversion_rate", col("conversion_rate"), "shares lie from 0 to 1", 0, 1),
            dates_between("last_visit_not_in_future", "last_visit_date", None, day, "nobody came later than the day"),
        ),
        order=("person_key",),
    )


def plans(tuning: Tuning) -> Suite:
    """Rules for table PLANS, with ``_offered``: how many products each offer has."""
    col = pl.col
    bracket = [col(f"price_{name}_micros") for name in ("low", "middle", "high")]
    falls = (bracket[0] > bracket[1]) | (bracket[1] > bracket[2])
    total = col("category_probabilities").list.sum().fill_null(0.0)
    return Suite(
        PLANS.name,
        PLANS.what,
        (
            is_set("person_is_set", "person_key", col("person_key"), "every row is of somebody"),
            no_row("person_is_unique", "one row per person", col("person_key").is_duplicated()),
            is_set("intent_is_set", "intent_set", col("intent"), "every plan says what for"),
            among("intent_is_known", "intent", INTENTS, "only intents that are documented"),
            among("trigger_is_known", "trigger", TRIGGERS, "only triggers that are documented"),
            between("intent_is_a_share", "intent_probability", col("intent_probability"), "shares are 0 to 1", 0, 1),
            between("categories_add_up", "category_share", total.round(6), "probabilities sum to 1 at most", 0, 1),
            no_row("bracket_ascends", "floor, middle and ceiling ascend", falls),
            between("offers_are_short", "offered", col("_offered"), "offers have at most `most` products", 0,
                    tuning.offers.most),
        ),
        order=("person_key",),
    )  # fmt: skip


def beside(listed: pl.DataFrame, known: pl.DataFrame, column: str) -> pl.DataFrame:
    """A published table with what the catalogue says of ``column``'s products: ``_known``, ``_why_not``, ``_price``."""
    facts = known.select(
        pl.col("product_id").alias(column),
        pl.lit(True).alias("_known"),
        pl.col("not_recommendable").alias("_why_not"),
        pl.col("unit_price_micros").alias("_price"),
    )
    return listed.join(facts, on=column, how="left", maintain_order="left")


def _rows(count: pl.Expr) -> pl.Expr:
    return pl.format("{} rows", count)


def _number(column: str) -> pl.Expr:
    return pl.col(column).is_finite().fill_null(False).cast(pl.Int64)


def _text(column: str) -> pl.Expr:
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))


def _per_order() -> pl.Expr:
    return pl.when(pl.col("orders") > 0).then(pl.col("purchases") / pl.col("orders"))


def _ranked(
    of: list[str],
    column: str,
    what: str,
    pins: Sequence[str] = (),
    strength: float = 0.0,
    served: int = 0,
) -> tuple[Rule, ...]:
    """Rows in order of rank, whose ranks count from 1, which are in order and whose products are there once.

    In order: ``pins`` lead as the shop has named them, and of the others a better rank has no smaller score. Unlikeness
    (``diversity.strength``) lifts a product among the first ``served`` ranks over one whose score is higher by up to
    strength ÷ (1 - strength) of the best one, as likeness is at most 1 (`placing.placed`); never over the first one
    where no pin stands above it, and never behind the served ranks.
    """
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in of).fill_null(False)
    step = pl.col("rank") - pl.when(same).then(pl.col("rank").shift(1)).otherwise(0)
    places = {product: place for place, product in reversed(list(enumerate(pins)))}
    pin = pl.col(column).replace_strict(list(places), list(places.values()), default=None, return_dtype=pl.Int64)
    behind = pl.when(same).then(pl.coalesce(pin.shift(1), len(pins)))  # a place among the pins, or behind them
    score = pl.when(pin.is_null()).then(pl.col("score").cast(pl.Float64))
    if strength:
        # One part in a million more: scores were 64 bits wide when they were compared.
        free = (strength / (1 - strength) + 1e-6) * pl.col("score").max().over(of).clip(0)
        lowest = score.cum_min().over(of, order_by="rank").forward_fill().over(of, order_by="rank")
        lowest = lowest.shift(1).over(of, order_by="rank")
        tail = pl.when(same & (pl.col("rank") > served + 1)).then(pl.col("score").shift(1) - score)
        lead = pl.when(pl.col("rank") == 1).then(score - score.max().over(of))
        fall = pl.min_horizontal(lowest + free - score, pl.when(pin.shift(1).is_null()).then(tail), lead)
    else:
        fall = pl.when(same).then(score.shift(1) - score)
    return (
        between("rank_without_gaps", "rank_step", step, f"the ranks of {what} are 1, 2, 3 …", 1, 1),
        between("score_falls_with_rank", "score_step", fall, "a better rank has no smaller score", 0),
        no_row("pins_lead", "pinned products come first, in their order", pl.coalesce(pin, len(pins)) < behind),
        no_row("no_product_twice", f"{what} holds a product once", pl.struct(*of, column).is_duplicated()),
    )


def _listed(column: str) -> tuple[Rule, ...]:
    """Products that the day's catalogue knows and offers, at its price."""
    off = pl.col("price_micros") - pl.col("_price")
    return (
        is_set("product_is_known", "known", pl.col("_known"), f"the catalogue has every {column}"),
        no_row("product_is_recommendable", "nothing that may not be listed", pl.col("_why_not").is_not_null()),
        between("price_above_0", "price_micros", pl.col("price_micros").fill_null(0), "every product has a price", 1),
        between("price_is_the_catalogues", "price_difference_micros", off, "prices are the day's own", 0, 0),
    )


def _kept_out() -> pl.Expr:
    """How many products each reason keeps out: ``, 13 price_missing``."""
    of = {why: (pl.col("not_recommendable") == why).sum() for why in _WHY_NOT}
    told = [pl.when(number > 0).then(pl.format(f", {{}} {why}", number)) for why, number in of.items()]
    return pl.concat_str(told, ignore_nulls=True)


def _covered(what: str, column: str, offered: pl.Expr) -> Whole:
    """Of a shop that names none there is nothing to warn of."""
    given = (offered & pl.col(column).is_not_null()).sum()
    share = given / offered.sum()
    return Whole(
        f"{what}_cover_the_offer",
        f"{COVERED:.0%} of the products that may be listed have a {column}, where any has",
        (given == 0) | (share >= COVERED),
        pl.format("{} of {} products that may be listed have a " + column, given, offered.sum()),
        "warn",
    )
