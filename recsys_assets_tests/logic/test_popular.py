import numpy as np
import pytest

from recsys_assets.logic.popular import of_category
from recsys_assets_tests.models.builders import catalog

PATHS = {
    "a": "Food > Bread > Rye",
    "b": "Food > Bread > White",
    "c": "Food > Fish",
    "d": "Food > Bread > Rye",
    "e": None,
    "f": "Toys",
}
SOLD = np.array([6.0, 2.0, 1.0, 0.0, 9.0, 0.0])  # d and f are new


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, [3.0, 3.0, 3.0, 3.0, 0.0, 0.0]),  # (6 + 2 + 1) / 3
        (2, [4.0, 4.0, 1.0, 4.0, 0.0, 0.0]),  # (6 + 2) / 2
        (9, [6.0, 2.0, 1.0, 6.0, 0.0, 0.0]),
    ],
)
def test_a_new_product_sells_as_those_of_its_category(depth: int, expected: list[float]) -> None:
    assert of_category(SOLD, list(PATHS), catalog(PATHS), depth).tolist() == expected


def test_products_that_the_catalogue_lacks_have_no_category() -> None:
    assert of_category(np.array([1.0, 2.0]), ["a", "z"], catalog({"a": "Food"}), 1).tolist() == [1.0, 0.0]
