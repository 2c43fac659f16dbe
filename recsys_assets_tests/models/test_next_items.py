"""What is taken after a product, as it is published and asked."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.blending import asked, summed
from recsys_assets.models.next_items import next_items
from recsys_assets.models.transitions import Transitions
from recsys_assets.tables import NEXT_ITEMS
from recsys_assets.tuning import Tuning
from recsys_assets_tests.models.builders import catalog
from recsys_assets_tests.models.test_transitions import fitted, rule, shop
from recsys_assets_tests.published import rules_of

FACTS = catalog(dict.fromkeys("abcdef", "x"))
ALL = np.ones(6, dtype=bool)


def published(
    model: Transitions, depth: int = 6, listable: np.ndarray = ALL, facts: pl.DataFrame = FACTS
) -> pl.DataFrame:
    return next_items(model, listable, facts, Tuning(next_items=depth))


def pairs(frame: pl.DataFrame) -> list[tuple[str, int, str]]:
    return list(frame.select("product_id", "rank", "next_product_id").iter_rows())


def test_the_strongest_rules_are_kept_in_order_and_ties_go_by_id() -> None:
    model = fitted(shop([[["a"], ["b"]], [["a"], ["b"]], [["a"], ["d"]], [["a"], ["c"]], [["e"], ["a"]]]))
    frame = published(model, depth=3)
    assert frame.equals(NEXT_ITEMS.conform(frame))
    assert pairs(frame) == [
        ("a", 1, "b"), ("a", 2, "c"), ("a", 3, "d"), ("e", 1, "a"),
    ]  # fmt: skip
    assert frame["score"].to_list() == [2.0, 1.0, 1.0, 1.0]
    assert published(model, depth=1).equals(frame.filter(pl.col("rank") == 1))


def test_what_may_not_be_listed_follows_nothing_and_is_followed() -> None:
    model = fitted(shop([[["a"], ["b"], ["c"]]]))
    listable = np.array([product != "b" for product in "abcdef"])
    assert pairs(published(model, listable=listable)) == [("a", 1, "c"), ("b", 1, "c")]


def test_of_variants_the_strongest_stands_for_all_and_a_products_own_are_left_out() -> None:
    model = fitted(shop([[["a"], ["b"]], [["a"], ["b"]], [["a"], ["c"]], [["a"], ["d"]], [["b"], ["c"]]]))
    parents = {"b": "shirt", "c": "shirt"}
    facts = FACTS.with_columns(parent_id=pl.col("product_id").replace_strict(parents, default=None))
    assert pairs(published(model, facts=facts)) == [("a", 1, "b"), ("a", 2, "d")]
    for at_most in (0, 2):
        made = next_items(model, ALL, facts, Tuning(next_items=6, variants_at_most=at_most))
        assert pairs(made) == [("a", 1, "b"), ("a", 2, "c"), ("a", 3, "d"), ("b", 1, "c")]
    # A parent may itself be a product that is sold.
    facts = FACTS.with_columns(parent_id=pl.col("product_id").replace_strict({"b": "a"}, default=None))
    assert pairs(published(model, facts=facts)) == [("a", 1, "c"), ("a", 2, "d"), ("b", 1, "c")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=14), min_size=1, max_size=6),
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=14),
)
def test_a_visit_is_answered_as_the_model_would(people: list[str], visit: list[str]) -> None:
    """Deep enough, what the API sums up of the published rules is what the night's model says of such a person."""
    model = Transitions()
    model.fit(shop([[[product] for product in taken] for taken in people]))
    said = model.scores(shop([[[product] for product in visit]]))[0]
    made = dict(summed(asked(visit), rules_of(published(model))))
    assert {"abcdef"[column] for column in np.flatnonzero(said)} == set(made)
    for product, score in made.items():
        np.testing.assert_allclose(score, said["abcdef".index(product)] / said.max(), rtol=1e-4, atol=2e-6)


def test_sessions_with_a_planted_next_product_are_answered_with_it() -> None:
    """Whoever took c, then a, took f next; what is popular, b, follows nothing."""
    train = [[["c"], ["a"], ["f"]]] * 4 + [[["a"], ["d"]]] * 3 + [[["c"], ["e"]]] * 3 + [[["b"]]] * 9
    model = fitted(shop(train))
    rules = rules_of(published(model))
    assert rule(model, "a", "d") < rule(model, "a", "f")
    assert summed(asked(["c", "a"]), rules)[0] == ("f", 1.0)
    assert summed(asked(["b"]), rules) == []
