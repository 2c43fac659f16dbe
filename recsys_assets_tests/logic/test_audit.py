"""The auditor agrees with what makes the reasons, on any shop, and finds every reason that was tampered with."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.columns import MEMBERS
from recsys_assets.logic.audit import Audit, audit, audit_sources
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.item_stats import item_stats
from recsys_assets.logic.ranking import Ranking
from recsys_assets.tables import CANDIDATES, PRICE_TIERS, REPURCHASE_CYCLES, USER_PROFILES
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import catalog, event, events

AS_OF = date(2024, 6, 30)
TUNING = Tuning(k_anonymity=2, recent_days=7, window_days=60)
PATHS = {"a": "Food > Bread", "b": "Food > Bread", "c": "Food > Cheese", "d": None, "e": "Toys"}
NEAR = {"a": ["c", "d"], "b": ["d"], "e": []}
PEOPLE = ("p1", "p2", "p3")


def listed(made: pl.DataFrame, tuning: Tuning = TUNING) -> pl.DataFrame:
    """Everybody's list of every product, with the reasons that the platform gives."""
    facts = catalog(PATHS)
    seen = interactions(made, AS_OF, tuning)
    owned = seen.filter(pl.col("purchases") > 0).select("person_key", "product_id", "purchases")
    near = pl.DataFrame(
        [(one, other) for one, others in NEAR.items() for other in others], schema=["product_id", "_near"], orient="row"
    )
    similar = (
        owned.join(near, on="product_id")
        .group_by("person_key", pl.col("_near").alias("product_id"))
        .agg(pl.len().cast(pl.Int64).alias("similar_owned"))
    )
    everything = pl.DataFrame({"person_key": PEOPLE}).join(facts.select("product_id"), how="cross")
    pool = (
        everything.filter(~pl.col("product_id").is_in(tuning.pins))
        .join(similar, on=["person_key", "product_id"], how="left")
        .join(owned, on=["person_key", "product_id"], how="left")
        .with_columns(pl.col("similar_owned").fill_null(0), pl.col("purchases").is_not_null().alias("purchased"))
        .with_columns(pl.lit(1.0, pl.Float32).alias("score"))
        .with_columns(*(pl.lit(None, pl.Float32).alias(name) for name in MEMBERS), pl.lit("als").alias("model_source"))
    )
    stats = item_stats(made, facts, PRICE_TIERS.empty(), AS_OF, tuning)
    ranking = Ranking(
        facts, stats, seen, USER_PROFILES.empty(), REPURCHASE_CYCLES.empty(),
        as_of=AS_OF, choices=Choices(True, 1.0, 1.0), tuning=tuning,
    )  # fmt: skip
    return ranking.rank(CANDIDATES.conform(pool)).lists


def audited(lists: pl.DataFrame, made: pl.DataFrame, tuning: Tuning = TUNING) -> Audit:
    return audit(
        lists, made, PATHS, NEAR, AS_OF,
        window_days=tuning.window_days, recent_days=tuning.recent_days, least_buyers=tuning.k_anonymity,
        pinned=tuning.pins,
    )  # fmt: skip


def shop() -> pl.DataFrame:
    return events(
        event("p1", "a", AS_OF - timedelta(40), order="1"),
        event("p1", "a", AS_OF - timedelta(3), order="2"),
        event("p1", "b", AS_OF - timedelta(3), order="2"),
        event("p1", "b", AS_OF - timedelta(2), "return", quantity=-1, order="2"),
        event("p2", "e", AS_OF - timedelta(3), quantity=2),
        event("p2", "e", AS_OF - timedelta(1), "return", quantity=-1),
        event("p3", "e", AS_OF, hour=9),
        event("p3", "c", AS_OF, "view"),
    )


def reasons(lists: pl.DataFrame) -> dict[tuple[str, str], tuple[str, int | None]]:
    told = lists.select("person_key", "product_id", "reason_code", "reason_count")
    return {(person, product): (code, count) for person, product, code, count in told.iter_rows()}


def test_each_reason_as_it_can_be_counted_by_hand() -> None:
    lists = listed(shop())
    found = reasons(lists)
    assert found["p1", "a"] == ("bought_before", 2)
    assert found["p1", "b"] == ("category_owned", 1)  # it was given back; a is bread too
    assert found["p1", "c"] == ("similar_owned", 1)
    assert found["p2", "e"] == ("bought_before", 1)  # one of two is left
    assert found["p1", "e"] == ("popular", 2)
    assert found["p3", "a"] == ("taste", None)
    made = audited(lists, shop())
    assert made.false == ()
    assert str(made) == "15 reasons recomputed from clean_events, all true"


@pytest.mark.parametrize(
    "lie",
    [
        pl.lit("You bought this 3 times, last in June").alias("reason"),
        pl.lit(9, pl.Int64).alias("reason_count"),
        pl.lit("taste").alias("reason_code"),
    ],
    ids=["words", "count", "code"],
)
def test_a_falsified_reason_is_found(lie: pl.Expr) -> None:
    lists = listed(shop())
    target = (pl.col("person_key") == "p1") & (pl.col("product_id") == "a")
    name = lie.meta.output_name()
    made = audited(lists.with_columns(pl.when(target).then(lie).otherwise(pl.col(name)).alias(name)), shop())
    assert [(one.person_key, one.product_id) for one in made.false] == [("p1", "a")]
    assert str(made).startswith("1 of 15 reasons do not follow from clean_events: ")
    assert "p1" not in str(made)


def test_a_reason_that_is_true_but_not_the_first_is_found() -> None:
    lists = listed(shop())
    target = (pl.col("person_key") == "p1") & (pl.col("product_id") == "c")  # similar to what was bought, and food
    taste = {"reason_code": "taste", "reason_count": None, "reason": "Picked from what people with your taste buy"}
    weaker = lists.with_columns(
        pl.when(target).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in taste.items()
    )
    assert [one.code for one in audited(weaker, shop()).false] == ["taste"]


def test_what_is_given_back_in_the_second_of_its_purchase_is_not_owned() -> None:
    made = events(event("p1", "a", AS_OF, order="1"), event("p1", "a", AS_OF, "return", quantity=-1))
    lists = listed(made)
    assert "bought_before" not in lists["reason_code"].to_list()
    assert audited(lists, made).false == ()


def test_events_that_were_lost_make_reasons_false() -> None:
    late = shop().filter(pl.col("event_date") != AS_OF - timedelta(40))
    assert {(one.product_id, one.true) for one in audited(listed(shop()), late).false} == {
        ("a", "You bought this once, in June")
    }


def test_a_pinned_product_may_say_any_reason_that_holds_and_no_other() -> None:
    pins = TUNING.model_copy(update={"pins": ("c",)})
    lists = listed(shop(), pins)
    assert "pinned" in lists["reason_code"].to_list()
    assert audited(lists, shop(), pins).false == ()
    assert {one.product_id for one in audited(lists, shop()).false} == {"c"}  # nobody pinned it


LINES = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE), st.sampled_from(sorted(PATHS)),
        st.sampled_from(("purchase", "purchase", "return", "view")),
        st.integers(0, 70), st.integers(1, 3), st.sampled_from((None, "1", "2")), st.integers(0, 3),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(LINES)
def test_the_auditor_agrees_on_any_shop(lines: list[tuple[str, str, str, int, int, str | None, int]]) -> None:
    made = events(
        *(
            event(person, product, AS_OF - timedelta(ago), kind, quantity=count, order=order, hour=hour)
            for person, product, kind, ago, count, order, hour in lines
        )
    )
    assert audited(listed(made), made).false == ()


WEIGHTS = {"all": {"als": 0.5, "item_cf": 0.25, "personal": 0.0}, "new": {"popularity": 1.0}}


def sourced(**other: object) -> pl.DataFrame:
    """One row whose loudest member is item_cf: .25 × 1 against .5 × .4."""
    row = {"person_key": "p", "product_id": "a", "als": 0.4, "item_cf": 1.0, "personal": 1.0, "popularity": 0.5}
    return pl.DataFrame([row | {"model_source": "item_cf"} | other])


@pytest.mark.parametrize(
    ("lists", "baskets", "true"),
    [
        (sourced(), 1, True),
        (sourced(model_source="als"), 1, False),
        (sourced(model_source="personal"), 1, False),  # has no weight
        (sourced(model_source=None), 1, False),
        (sourced(als=0.5, model_source="als"), 1, True),  # as loud as the other
        (sourced(item_cf=None, model_source="als"), 1, True),
        (sourced(), 0, False),  # weights of their own
        (sourced(model_source="popularity"), 0, True),
        (sourced(product_id="pin"), 1, False),
        (sourced(product_id="pin", model_source="pinned"), 1, True),
        (sourced(model_source="pinned"), 1, False),
    ],
)
def test_a_source_is_the_loudest_member_or_the_pin(lists: pl.DataFrame, baskets: int, true: bool) -> None:
    made = audit_sources(lists, WEIGHTS, {"p": baskets}, (1, 4, 20), ("pin",))
    assert made.checked == 1
    assert (not made.false) is true
    assert str(made).startswith("1 sources recomputed" if true else "1 of 1 sources do not follow")
