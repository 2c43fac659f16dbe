import numpy as np
import polars as pl
import pytest

from recsys_assets.logic.choices import Choices
from recsys_assets.models import make_blend
from recsys_assets.models.base import Interactions
from recsys_assets.models.blend import DEFAULT, Blend
from recsys_assets.models.candidates import candidates
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.similar import similar_items
from recsys_assets.tables import CANDIDATES, SIMILAR_ITEMS
from recsys_assets.tuning import Als, Tuning
from recsys_assets_tests.models.builders import bought, catalog, random_shop

TUNING = Tuning(als=Als(factors=8), candidate_pool_size=50, served_new_at_least=10)
REPEATS = Choices(repeats_allowed=True, repeat_weight=4.0, als_regularization=0.1)
NEW_ONLY = Choices(repeats_allowed=False, repeat_weight=0.0, als_regularization=0.1)


def fitted(shop: Interactions, choices: Choices) -> Blend:
    blend = make_blend(TUNING, choices)
    blend.fit(shop)
    return blend


def every(shop: Interactions, choices: Choices, block: int | None = None, tuning: Tuning = TUNING) -> pl.DataFrame:
    listable = np.ones(len(shop.product_ids), dtype=bool)
    return pl.concat(candidates(fitted(shop, choices), shop, listable, choices, tuning, block=block))


def test_a_row_is_the_sum_of_its_members() -> None:
    shop = random_shop()
    made = every(shop, REPEATS)
    assert made.equals(CANDIDATES.conform(made))
    weights = fitted(shop, REPEATS).weights
    total = sum(np.float32(weights[name]) * made[name].to_numpy() for name in DEFAULT)
    np.testing.assert_allclose(made["score"].to_numpy(), total, atol=2e-6)
    assert made["score"].is_not_nan().all()
    parts = np.stack([weights[name] * made[name].to_numpy() for name in DEFAULT])
    assert made["model_source"].to_list() == [DEFAULT[place] for place in parts.argmax(axis=0)]
    assert set(made["model_source"]) == set(DEFAULT)


def test_the_block_changes_at_most_the_last_digit() -> None:
    """BLAS has other kernels for other shapes; the block is a function of the catalogue, so days stay reproducible."""
    shop = random_shop()
    one, other = (every(shop, REPEATS, block).sort("person_key", "product_id") for block in (7, 1000))
    assert one.drop("score", *DEFAULT).equals(other.drop("score", *DEFAULT))
    np.testing.assert_allclose(one["score"].to_numpy(), other["score"].to_numpy(), atol=5e-6)


def test_best_first_and_ties_by_product_id() -> None:
    made = every(random_shop(), REPEATS)
    assert made.equals(made.sort("person_key", "score", "product_id", descending=[False, True, False]))


def test_purchased_says_what_was_purchased() -> None:
    shop = random_shop()
    made = every(shop, REPEATS)
    owned = shop.owned.toarray()
    person = {key: place for place, key in enumerate(shop.person_keys.tolist())}
    product = {key: place for place, key in enumerate(shop.product_ids.tolist())}
    for row in made.iter_rows(named=True):
        assert row["purchased"] == bool(owned[person[row["person_key"]], product[row["product_id"]]])


def test_where_repeats_are_not_allowed_there_are_none() -> None:
    made = every(random_shop(), NEW_ONLY)
    assert not made["purchased"].any()
    assert made.height > 0


def test_new_products_keep_their_room() -> None:
    heavy = [("p000", f"i{product:03}", 9) for product in range(100)]
    others = [
        (f"p{person:03}", f"i{product:03}", 1) for person in range(1, 20) for product in range(person % 3, 120, 3)
    ]
    frame = bought(heavy + others)
    made = every(Interactions.from_frame(frame), REPEATS).filter(person_key="p000")
    assert made.height == TUNING.candidate_pool_size
    assert made.filter(pl.col("purchased").not_()).height == TUNING.served_new_at_least


def test_a_product_that_may_not_be_listed_is_not() -> None:
    shop = random_shop()
    listable = np.ones(len(shop.product_ids), dtype=bool)
    listable[3] = False
    made = pl.concat(candidates(fitted(shop, REPEATS), shop, listable, REPEATS, TUNING))
    assert str(shop.product_ids[3]) not in set(made["product_id"])


def test_a_person_without_history_gets_what_is_popular() -> None:
    shop = random_shop()
    blend = fitted(shop, REPEATS)
    stranger = Interactions.from_frame(bought([]), shop.product_ids, np.array(["stranger"]))
    listable = np.ones(len(shop.product_ids), dtype=bool)
    made = pl.concat(candidates(blend, stranger, listable, REPEATS, TUNING))
    assert made.height > 0
    assert made["popularity"][0] == 1
    assert not made.select("als", "item_cf", "personal").to_numpy().any()


def test_similar_owned_counts_the_products_near_it() -> None:
    shop = random_shop()
    blend = fitted(shop, REPEATS)
    item_cf = blend.models["item_cf"]
    assert isinstance(item_cf, ItemCf)
    near = item_cf.similarity.toarray() > 0
    made = every(shop, REPEATS)
    for row in made.sample(50, seed=1).iter_rows(named=True):
        owned = shop.owned[shop.person_keys.tolist().index(row["person_key"])].toarray()[0] > 0
        product = shop.product_ids.tolist().index(row["product_id"])
        assert row["similar_owned"] == sum(near[other, product] for other in np.flatnonzero(owned))


def test_columns_of_another_training_are_refused() -> None:
    shop, other = random_shop(), random_shop(products=12)
    with pytest.raises(AssertionError, match="columns differ"):
        list(candidates(fitted(shop, REPEATS), other, np.ones(12, dtype=bool), REPEATS, TUNING))


PEOPLE = [f"p{person}" for person in range(7)]


def test_similar_items_count_common_buyers() -> None:
    """a and b: 5 common of a's 6 buyers. a and c: 4 common, b and c: 3, below the floor; c itself has 5 buyers."""
    buyers = {"a": PEOPLE[:6], "b": PEOPLE[:5], "c": PEOPLE[2:]}
    frame = bought([(person, product, 1) for product, people in buyers.items() for person in people])
    shop = Interactions.from_frame(frame)
    model = ItemCf()
    model.fit(shop)
    prices = catalog({"a": None, "b": None, "c": None})
    made = similar_items(model, shop, np.ones(3, dtype=bool), prices, Tuning())
    assert made.equals(SIMILAR_ITEMS.conform(made))
    assert made.select("product_id", "rank", "similar_product_id").rows() == [("a", 1, "b"), ("b", 1, "a")]
    assert made["confidence"].to_list() == pytest.approx([5 / 6, 1.0])
    assert made["score"].to_list() == [1.0, 1.0]
    assert made["price_micros"].to_list() == [2_000_000, 2_000_000]
    one_out = similar_items(model, shop, np.array([True, False, True]), prices, Tuning())
    assert one_out.is_empty()


def looked_at(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    """Table INTERACTIONS of (person, product) that were looked at and not bought."""
    nothing = [pl.lit(0, pl.Int64).alias(name) for name in ("frequency_micros", "purchases", "units", "spend_micros")]
    return bought([(person, product, 1) for person, product in pairs]).with_columns(*nothing)


def described_alike() -> tuple[ItemCf, Interactions, pl.DataFrame]:
    """Seven people buy a and b; six of them look at c; nobody has seen d and e. a and d, c and e are of one kind."""
    frame = pl.concat(
        [
            bought([(person, product, 1) for person in PEOPLE for product in "ab"]),
            looked_at([(person, "c") for person in PEOPLE[1:]]),
        ]
    )
    shop = Interactions.from_frame(frame, np.array(list("abcd")))  # e has no column: content is not a member
    model = ItemCf()
    model.fit(shop)
    return model, shop, catalog({"a": "Tea > Black", "d": "Tea > Black", "b": "Tea", "c": "Pot", "e": "Pot"})


def test_what_too_few_bought_has_neighbours_by_looks_and_by_description() -> None:
    model, shop, facts = described_alike()
    made = similar_items(model, shop, np.ones(4, dtype=bool), facts, Tuning())
    assert made.equals(SIMILAR_ITEMS.conform(made))
    beside = {
        product: [
            (row[0], row[1]) for row in made.filter(product_id=product).select("similar_product_id", "source").rows()
        ]
        for product in "abcde"
    }
    assert beside["a"][:2] == [("b", "purchases"), ("c", "views")]
    assert ("d", "content") in beside["a"]  # of its kind, and new
    assert [one for one in beside["c"] if one[1] == "views"] == [("a", "views"), ("b", "views")]
    assert beside["d"][0] == ("a", "content")  # nobody has seen it
    assert beside["e"] == [("c", "content")]
    assert made.filter(source="views")["confidence"].to_list() == pytest.approx([6 / 7, 6 / 7, 1, 1])
    assert made.filter(source="content")["confidence"].null_count() == made.filter(source="content").height
    for product in "abcde":
        own = made.filter(product_id=product)
        assert own["rank"].to_list() == list(range(1, own.height + 1))
        assert own["score"].is_sorted(descending=True)
        assert own["score"][0] == 1
        assert own["score"].min() > 0  # type: ignore[operator]  # there is one


@pytest.mark.parametrize(
    ("knobs", "sources"),
    [
        ({"similar_sources": ("purchases",)}, {"purchases"}),
        ({"similar_sources": ("views",)}, {"views"}),
        ({"similar_sources": ("content",)}, {"content"}),
        ({"similar_sources": ("content", "views")}, {"content", "views"}),
        ({"k_anonymity": 7}, {"purchases", "content"}),  # six people looked at c
        ({"k_anonymity": 8}, {"content"}),
    ],
)
def test_the_shop_says_by_what_products_are_similar(knobs: dict[str, object], sources: set[str]) -> None:
    model, shop, facts = described_alike()
    made = similar_items(model, shop, np.ones(4, dtype=bool), facts, Tuning.model_validate(knobs))
    assert set(made["source"]) == sources
    order = list(knobs.get("similar_sources", ("purchases", "views", "content")))  # type: ignore[call-overload]  # words
    for product in "abcde":
        own = made.filter(product_id=product)
        places = [order.index(source) for source in own["source"]]
        assert places == sorted(places)
        assert own["score"].is_sorted(descending=True)


def test_a_product_that_may_not_be_listed_is_nobodys_neighbour() -> None:
    model, shop, facts = described_alike()
    out = facts.with_columns(
        not_recommendable=pl.when(pl.col("product_id").is_in(["a", "e"])).then(pl.lit("banned")).otherwise(None)
    )
    made = similar_items(model, shop, np.array([False, True, True, True]), out, Tuning())
    assert not {"a", "e"} & {*made["product_id"], *made["similar_product_id"]}
    assert made.height > 0


def test_sizes_of_one_shirt_do_not_crowd_similar_items() -> None:
    """Everybody buys two shirts in three sizes, and a cap; L was bought by one person less."""
    sizes = ["S1", "M1", "L1", "S2", "M2", "L2", "cap"]
    buyers = {product: PEOPLE[1:] if product.startswith("L") else PEOPLE for product in sizes}
    shop = Interactions.from_frame(bought([(who, product, 1) for product, people in buyers.items() for who in people]))
    model = ItemCf()
    model.fit(shop)
    facts = catalog(dict.fromkeys(sizes)).with_columns(
        parent_id=pl.when(pl.col("product_id") != "cap").then(pl.col("product_id").str.tail(1))
    )

    def beside(product: str, at_most: int) -> list[str]:
        made = similar_items(model, shop, np.ones(7, dtype=bool), facts, Tuning(variants_at_most=at_most))
        return made.filter(product_id=product).sort("rank")["similar_product_id"].to_list()

    assert [product[-1] for product in sorted(beside("S1", 1))] == ["2", "p"]
    assert sorted(product[-1] for product in beside("S1", 2)) == ["1", "2", "2", "p"]
    assert sorted(beside("S1", 0)) == sorted(set(sizes) - {"S1"})
