"""Every rule of the tables in `logic.intents`, its bounds, and which of two comes first."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_assets.logic.baskets import Shopping
from recsys_assets.logic.intents import companions, first_after, labelled
from recsys_assets.tables import REPURCHASE_CYCLES
from recsys_assets.tuning import Planner, RepurchaseCycle, Tuning
from recsys_assets_tests.logic.plan_shops import Row, cycles, day, did, goods, shop

TUNING = Tuning(k_anonymity=2)
NO_CYCLES = REPURCHASE_CYCLES.empty()
# Home > Pans has a product of each tier, and so has all of the shop.
GOODS = goods(
    {
        "cheap": ("Home > Pans", 1.0),
        "mid": ("Home > Pans", 20.0),
        "dear": ("Home > Pans", 300.0),
        "unpriced": ("Home > Pans", None),
        "lid": ("Home > Lids", 20.0),
        "card": ("Gift > Cards", 20.0),
        "rye": ("Food > Bread", 20.0),
        "odd": (None, 20.0),
    }
)


def pairs_of(seen: Shopping, *named: tuple[str, str]) -> pl.DataFrame:
    """Categories that go with others, as `companions` would have found them."""
    kind = seen.lines.schema["category"]
    frame = pl.DataFrame(
        {"_with": [one for one, _ in named], "category": [other for _, other in named], "_lift": [2.0] * len(named)},
        schema={"_with": pl.String, "category": pl.String, "_lift": pl.Float64},
    )
    return frame.with_columns(pl.col("_with", "category").cast(kind, strict=False)).drop_nulls()


LIDS_GO_WITH_PANS = (("Home > Pans", "Home > Lids"),)


def labels(
    given_rows: list[Row],
    known_cycles: pl.DataFrame = NO_CYCLES,
    pairs: tuple[tuple[str, str], ...] = (),
    tuning: Tuning = TUNING,
) -> list[tuple[str, str]]:
    """Intent and trigger of each basket, in order of person and time."""
    seen = shop(given_rows, GOODS, tuning)
    return labelled(seen, pairs_of(seen, *pairs), known_cycles, tuning).select("intent", "trigger").rows()


def intents(given_rows: list[Row], *rest: object) -> list[str]:
    return [intent for intent, _ in labels(given_rows, *rest)]  # type: ignore[arg-type] # as `labels` takes them


def triggers(given_rows: list[Row]) -> list[str]:
    return [trigger for _, trigger in labels(given_rows)]


def test_tiers_of_the_goods_are_what_these_tests_take_them_for() -> None:
    tiers = dict(shop([did("a", p, 0) for p in GOODS["product_id"]], GOODS).lines.select("product_id", "_tier").rows())
    assert (tiers["cheap"], tiers["mid"], tiers["dear"], tiers["unpriced"]) == (0, 1, 2, None)


@pytest.mark.parametrize(("apart", "intent"), [(1, "replenish"), (28, "replenish"), (29, "explore")])
def test_replenish_is_a_product_bought_again_within_twice_its_cycle(apart: int, intent: str) -> None:
    given_rows = [did("ann", "rye", 0), did("ann", "rye", apart)]
    assert intents(given_rows, cycles({"rye": 14.0})) == ["explore", intent]


def test_a_product_without_a_cycle_has_the_shops() -> None:
    tuning = Tuning(repurchase_cycle=RepurchaseCycle(default_cycle_days=5))
    given_rows = [did("ann", "rye", 0), did("ann", "rye", 10), did("bob", "rye", 0), did("bob", "rye", 11)]
    assert intents(given_rows, NO_CYCLES, (), tuning) == ["explore", "replenish", "explore", "explore"]


def test_the_cycle_counts_from_the_last_time_and_another_person_does_not_count() -> None:
    given_rows = [did("ann", "rye", 0), did("ann", "rye", 20), did("ann", "rye", 40), did("bob", "rye", 41)]
    assert intents(given_rows, cycles({"rye": 10.0})) == ["explore", "replenish", "replenish", "explore"]


def test_what_was_given_back_and_is_bought_again_is_no_replenishment() -> None:
    bought = [did("ann", "rye", 0), did("ann", "rye", 5)]
    for number, again in ((3, "explore"), (5, "explore"), (6, "replenish")):
        back = did("ann", "rye", number, "return", quantity=-1)
        assert intents([*bought, back], cycles({"rye": 14.0})) == ["explore", again]
    kept = [did("ann", "rye", 0), did("ann", "rye", 1), did("ann", "rye", 2, "return", quantity=-1)]
    assert intents([*kept, did("ann", "rye", 5)], cycles({"rye": 14.0}))[-1] == "replenish"


def test_gift_is_a_product_whose_words_say_so() -> None:
    assert intents([did("ann", "card", 0)]) == ["gift"]
    other = Tuning(planner=Planner(gift_words=("bread",)))
    assert intents([did("ann", "card", 0), did("ann", "rye", 1)], NO_CYCLES, (), other) == ["explore", "gift"]


def test_upgrade_is_a_higher_tier_than_ever_before_in_the_category() -> None:
    up = [did("ann", "cheap", 0), did("ann", "mid", 1), did("ann", "dear", 2)]
    assert intents(up) == ["explore", "upgrade", "upgrade"]
    down = [did("ann", "dear", 0), did("ann", "mid", 1), did("ann", "cheap", 2)]
    assert intents(down) == ["explore"] * 3
    back = [did("ann", "dear", 0), did("ann", "cheap", 1), did("ann", "mid", 2)]
    assert intents(back) == ["explore"] * 3


def test_an_upgrade_needs_something_of_the_category_before() -> None:
    assert intents([did("ann", "rye", 0), did("ann", "dear", 1)]) == ["explore", "explore"]


def test_a_product_without_a_price_in_between_does_not_hide_what_was_had_before() -> None:
    given_rows = [did("ann", "cheap", 0), did("ann", "unpriced", 1), did("ann", "dear", 2)]
    assert intents(given_rows) == ["explore", "explore", "upgrade"]
    given_rows = [did("ann", "dear", 0), did("ann", "unpriced", 1), did("ann", "mid", 2)]
    assert intents(given_rows) == ["explore"] * 3


def test_accessory_is_a_new_category_that_goes_with_the_last_basket() -> None:
    given_rows = [did("ann", "mid", 0), did("ann", "lid", 5)]
    assert intents(given_rows, NO_CYCLES, LIDS_GO_WITH_PANS) == ["explore", "accessory"]
    assert intents(given_rows, NO_CYCLES, ()) == ["explore", "explore"]


def test_accessory_may_go_with_another_category_of_the_same_basket() -> None:
    given_rows = [did("ann", "mid", 0, price=1, order="a"), did("ann", "lid", 0, price=9, order="a")]
    assert intents(given_rows, NO_CYCLES, LIDS_GO_WITH_PANS) == ["accessory"]


def test_an_accessory_goes_with_the_last_basket_only_and_its_category_is_new() -> None:
    later = [did("ann", "mid", 0), did("ann", "rye", 1), did("ann", "lid", 2)]
    assert intents(later, NO_CYCLES, LIDS_GO_WITH_PANS) == ["explore"] * 3
    known = [did("ann", "lid", 0), did("ann", "mid", 100), did("ann", "lid", 200)]
    assert intents(known, cycles({"lid": 1.0}), LIDS_GO_WITH_PANS) == ["explore"] * 3
    bobs = [did("ann", "mid", 0), did("bob", "lid", 1)]
    assert intents(bobs, NO_CYCLES, LIDS_GO_WITH_PANS) == ["explore"] * 2


def test_of_two_rules_the_first_of_the_table_names_the_intent() -> None:
    assert intents([did("ann", "card", 0), did("ann", "card", 1)]) == ["gift", "replenish"]
    pans = Tuning(planner=Planner(gift_words=("pans",)))
    assert intents([did("ann", "cheap", 0), did("ann", "dear", 1)], NO_CYCLES, (), pans) == ["gift", "gift"]
    lids = Tuning(planner=Planner(gift_words=("lids",)))
    assert intents([did("ann", "mid", 0), did("ann", "lid", 1)], NO_CYCLES, LIDS_GO_WITH_PANS, lids) == [
        "explore",
        "gift",
    ]
    again = [did("ann", "cheap", 0), did("ann", "dear", 1), did("ann", "dear", 2)]
    assert intents(again) == ["explore", "upgrade", "replenish"]


def test_the_intent_is_that_of_the_main_product() -> None:
    first = [did("ann", "rye", 0)]
    both = [did("ann", "rye", 1, price=1, order="b"), did("ann", "mid", 1, price=9, order="b")]
    assert intents(first + both) == ["explore", "explore"]
    turned = [did("ann", "rye", 1, price=9, order="b"), did("ann", "mid", 1, price=1, order="b")]
    assert intents(first + turned) == ["explore", "replenish"]


@pytest.mark.parametrize(("apart", "trigger"), [(0, "post-purchase"), (7, "post-purchase"), (8, "on-page")])
def test_post_purchase_follows_another_order_within_days(apart: int, trigger: str) -> None:
    given_rows = [did("ann", "rye", 0, at=1, order="a"), did("ann", "lid", apart, at=2, order="b")]
    assert triggers(given_rows) == ["on-page", trigger]


def test_who_has_bought_nothing_yet_is_on_the_page_whatever_others_do() -> None:
    assert triggers([did("ann", "rye", 0), did("bob", "rye", 1)]) == ["on-page", "on-page"]


def test_in_cart_needs_an_earlier_day_and_comes_first() -> None:
    cart = did("ann", "lid", 3, "add_to_cart", at=1)
    assert triggers([cart, did("ann", "lid", 3, at=2)]) == ["on-page"]
    assert triggers([cart, did("ann", "lid", 4)]) == ["in-cart"]
    assert triggers([did("ann", "rye", 3, at=0), cart, did("ann", "lid", 4)]) == ["on-page", "in-cart"]


def test_any_product_of_the_basket_may_have_lain_in_the_cart_of_that_person() -> None:
    cart = did("ann", "lid", 0, "add_to_cart")
    both = [did("ann", "mid", 1, price=9, order="a"), did("ann", "lid", 1, price=1, order="a")]
    assert triggers([cart, *both]) == ["in-cart"]
    assert triggers([cart, did("ann", "mid", 1)]) == ["on-page"]
    assert triggers([cart, did("bob", "lid", 1)]) == ["on-page"]


def test_what_was_bought_since_lies_in_no_cart() -> None:
    cart = did("ann", "lid", 0, "add_to_cart", at=1)
    given_rows = [cart, did("ann", "lid", 1), did("ann", "lid", 20)]
    assert triggers(given_rows) == ["in-cart", "on-page"]
    again = did("ann", "lid", 15, "add_to_cart")
    assert triggers([*given_rows, again]) == ["in-cart", "in-cart"]


def test_what_was_taken_out_of_the_cart_lies_in_none() -> None:
    cart, out = did("ann", "lid", 0, "add_to_cart", at=1), did("ann", "lid", 1, "remove_from_cart")
    assert triggers([cart, did("ann", "lid", 2)]) == ["in-cart"]
    assert triggers([cart, out, did("ann", "lid", 2)]) == ["on-page"]
    assert triggers([cart, out | {"product_id": "mid"}, did("ann", "lid", 2)]) == ["in-cart"]
    assert triggers([cart, out, did("ann", "lid", 1, "add_to_cart", at=900), did("ann", "lid", 2)]) == ["in-cart"]


def test_companions_are_bought_together_more_often_than_by_chance() -> None:
    together = [
        did(person, product, 0, price=price, order="a")
        for person in ("ann", "bob")
        for product, price in (("mid", 1), ("lid", 9))
    ]
    alone = [did(person, product, at) for person in ("cat", "dan") for at, product in enumerate(("rye", "card", "odd"))]
    seen = shop(together + alone, GOODS)
    # Four pairs: of two baskets lids with pans, of two cards after bread; no category is none. 2 × 4 / (2 × 2) = 2.
    assert companions(seen, TUNING).cast({pl.Enum: pl.String}).rows() == [
        ("Food > Bread", "Gift > Cards", 2.0),
        ("Home > Pans", "Home > Lids", 2.0),
    ]


def test_companions_of_fewer_baskets_than_the_floor_are_not_named() -> None:
    given_rows = [
        did(person, product, number)
        for person in ("ann", "bob")
        for number, product in enumerate(("mid", "lid"))
    ] + [did("cat", "rye", 0), did("cat", "card", 1)]  # fmt: skip
    seen = shop(given_rows, GOODS)
    assert companions(seen, TUNING)["category"].to_list() == ["Home > Lids"]
    assert companions(seen, Tuning(k_anonymity=1)).height == 2
    assert companions(seen, Tuning(k_anonymity=3)).is_empty()
    assert companions(seen, Tuning(k_anonymity=1, planner=Planner(accessory_lift=4))).is_empty()


def test_a_count_of_pairs_beyond_32_bits_keeps_its_lift() -> None:
    """50,000 × 100,000 runs over in 32 bits: the lift came out as .28 instead of 2."""
    size, kind = 50_000, pl.Enum(["a", "b", "c", "d"])
    names = [f"{number:06}" for number in range(2 * size)]
    people = pl.DataFrame({"person_key": names}, schema={"person_key": pl.Enum(names)}).with_columns(
        _order=pl.lit(0), event_date=pl.lit(day(0))
    )

    def of(first: str, second: str) -> pl.DataFrame:
        """Baskets or lines of one category each for both halves of the people."""
        return people.with_columns(category=pl.Series([first] * size + [second] * size, dtype=kind))

    baskets = of("b", "d")
    lines = pl.concat([baskets, of("a", "c")]).sort("person_key")
    assert companions(Shopping(lines, baskets, lines.clear()), TUNING)["_lift"].to_list() == [2.0, 2.0]


@pytest.mark.parametrize("given_rows", [[], [did("ann", "rye", 0)], [did("ann", "rye", 0, "view")]])
def test_hardly_anything_is_labelled_without_companions(given_rows: list[Row]) -> None:
    seen = shop(given_rows, GOODS)
    found = companions(seen, TUNING)
    assert found.is_empty()
    made = labelled(seen, found, NO_CYCLES, TUNING)
    assert made.height == seen.baskets.height
    assert made.columns == [*seen.baskets.columns, "intent", "trigger"]


def test_first_after_is_the_first_basket_within_the_days() -> None:
    given_rows = [
        did("ann", "rye", 5), did("ann", "mid", 6), did("ann", "lid", 7),  # the day itself does not count
        did("bob", "rye", 19), did("bob", "mid", 20),
        did("cat", "rye", 20),
    ]  # fmt: skip
    found = first_after(shop(given_rows, GOODS).baskets, day(5), 14).cast({pl.Enum: pl.String})
    assert found.select("person_key", "product_id").rows() == [("ann", "mid"), ("bob", "rye")]


drawn_rows = st.lists(
    st.builds(
        did,
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(GOODS["product_id"].to_list()),
        st.integers(0, 12),
        st.sampled_from(["purchase", "purchase", "purchase", "add_to_cart"]),
        at=st.integers(0, 1),
        order=st.sampled_from([None, "1"]),
    ),
    max_size=20,
)


@given(drawn_rows, st.integers(0, 12), st.randoms())
def test_a_label_depends_on_the_past_alone_and_not_on_the_order_of_rows(
    given_rows: list[Row], number: int, dice: random.Random
) -> None:
    before = [one for one in given_rows if one["event_date"] <= day(number)]  # type: ignore[operator] # days
    made = []
    for some in (before, dice.sample(given_rows, len(given_rows))):
        seen = shop(some, GOODS).until(day(number))
        found = labelled(seen, pairs_of(seen, *LIDS_GO_WITH_PANS), cycles({"rye": 2.0}), TUNING)
        made.append(found.drop("_order").cast({pl.Enum: pl.String}))
    assert_frame_equal(*made)
