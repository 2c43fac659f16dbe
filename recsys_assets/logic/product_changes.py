"""What is told of products between two catalogues."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProductChange:
    """What is told of one product; None: nothing. ``price_micros`` is above 0, in the base currency."""

    product_id: str
    in_stock: bool | None = None
    price_micros: int | None = None


def last_words(changes: Iterable[ProductChange]) -> list[ProductChange]:
    """Each product once, with the last word on its stock and on its price, in the order in which they first stood.

    >>> last_words([ProductChange("a", in_stock=False), ProductChange("a", price_micros=5)])
    [ProductChange(product_id='a', in_stock=False, price_micros=5)]
    """
    words: dict[str, ProductChange] = {}
    for change in changes:
        before = words.get(change.product_id, change)
        words[change.product_id] = ProductChange(
            change.product_id,
            before.in_stock if change.in_stock is None else change.in_stock,
            before.price_micros if change.price_micros is None else change.price_micros,
        )
    return list(words.values())
