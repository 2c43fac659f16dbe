import json
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.facts import facts
from recsys_assets.tables import CATALOG, MICROS
from recsys_assets.tuning import Content

ONLY = {"words": 0.0, "category": 0.0, "brand": 0.0, "attributes": 0.0, "price": 0.0}


def catalog(*products: Mapping[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(products), schema=CATALOG.columns)


def likeness(frame: pl.DataFrame, ids: list[str], **shares: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    made = facts(frame, ids, Content(**(ONLY | shares)))
    return np.asarray((made @ made.T).toarray())


def test_words_are_compared_in_any_case_and_field_and_a_word_of_all_products_says_nothing() -> None:
    frame = catalog(
        {"product_id": "a", "name": "The Red Wine"},
        {"product_id": "b", "description": "the white wine", "tags": ["RED"]},
        {"product_id": "c", "name": "the rye bread"},
        {"product_id": "d", "name": "the bread"},
    )
    alike = likeness(frame, ["a", "b", "c", "d"], words=1.0)
    assert alike[0, 1] == pytest.approx(1)  # red and wine; white is only one product's
    assert alike[2, 3] == pytest.approx(1)  # bread
    assert alike[0, 2] == 0


def test_a_category_shares_what_its_path_shares() -> None:
    paths = {"a": "Food > Bread > Rye", "b": "Food > Bread > Rye", "c": "Food > Bread > White", "d": "Food > Fish"}
    paths |= {"e": "Toys", "f": "Toys > Bread", "g": "Food > Bread > White", "h": "Food > Fish"}
    alike = likeness(
        catalog(*({"product_id": p, "category": c} for p, c in paths.items())), list("abcdefgh"), category=1.0
    )
    assert alike[0, 1] == pytest.approx(1)
    assert 0 < alike[0, 3] < alike[0, 2] < 1
    assert alike[0, 5] == 0  # Bread of the toys is not the bread of the food


def test_brand_attributes_and_price() -> None:
    frame = catalog(
        {
            "product_id": "a",
            "brand": "X",
            "attributes": json.dumps({"size": ["S", "M"]}),
            "unit_price_micros": 10 * MICROS,
        },
        {"product_id": "b", "brand": "X", "attributes": json.dumps({"size": "m"}), "unit_price_micros": 11 * MICROS},
        {"product_id": "c", "brand": "Y", "attributes": json.dumps({"colour": "m"}), "unit_price_micros": 40 * MICROS},
        {"product_id": "d", "brand": "Y", "attributes": json.dumps({"size": "s"}), "unit_price_micros": 0},
    )
    ids = ["a", "b", "c", "d"]
    assert likeness(frame, ids, brand=1.0)[0].tolist() == pytest.approx([1, 1, 0, 0])
    assert likeness(frame, ids, attributes=1.0)[0].tolist() == pytest.approx([1, 0.5**0.5, 0, 0.5**0.5])
    assert likeness(frame, ids, price=1.0)[0].tolist() == pytest.approx([1, 1, 0, 0])


def test_shares_weigh_the_kinds() -> None:
    frame = catalog(
        {"product_id": "a", "brand": "X", "name": "wine"},
        {"product_id": "b", "brand": "X", "name": "bread"},
        {"product_id": "c", "brand": "Y", "name": "wine"},
        {"product_id": "d", "brand": "Y", "name": "bread"},
    )
    alike = likeness(frame, ["a", "b", "c", "d"], words=3.0, brand=1.0)
    assert alike[0].tolist() == pytest.approx([1, 1 / 4, 3 / 4, 0])


def test_rows_follow_the_ids_and_unknown_ones_are_0() -> None:
    frame = catalog({"product_id": "b", "brand": "X"}, {"product_id": "c", "brand": "X"})
    made = facts(frame, np.array(["a", "b", "c"]), Content(**(ONLY | {"brand": 1.0})))
    assert made.toarray().tolist() == [[0.0], [1.0], [1.0]]
    assert facts(frame, ["a"], Content(**ONLY)).shape == (1, 0)
    assert facts(CATALOG.empty(), ["a", "b"], Content()).shape[0] == 2


TEXT = st.one_of(st.none(), st.text(max_size=12))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(TEXT, TEXT, TEXT, st.one_of(st.none(), st.integers(-5, 2**45)), st.dictionaries(st.text(), TEXT)),
        max_size=8,
    ),
    st.integers(0, 99),
)
def test_whatever_a_catalogue_says_rows_have_length_1_or_0_in_any_order(
    told: list[tuple[str | None, str | None, str | None, int | None, dict[str, str | None]]], seed: int
) -> None:
    frame = catalog(
        *(
            {"product_id": f"p{i}", "name": name, "category": category, "brand": brand, "unit_price_micros": price}
            | {"attributes": json.dumps(attributes)}
            for i, (name, category, brand, price, attributes) in enumerate(told)
        )
    )
    ids = [f"p{i}" for i in range(len(told))]
    made = facts(frame, ids, Content())
    lengths = np.sqrt(made.multiply(made).sum(axis=1))
    assert (np.isclose(lengths, 1, atol=1e-5) | (lengths == 0)).all()
    again = facts(frame.sample(fraction=1, shuffle=True, seed=seed), ids, Content())
    assert made.toarray().tobytes() == again.toarray().tobytes()
