"""Products of a slice of the catalogue: what may be offered of them, or why they may not."""

from dataclasses import dataclass
from typing import Any

from recsys_assets.amounts import MICROS
from recsys_assets.logic.safe_text import one_line
from recsys_assets.serving.offer_schemas import SliceProduct


@dataclass(frozen=True)
class Product:
    """One product that may be offered; ``known``: its facts are the catalogue's."""

    id: str
    name: str
    category: str | None
    brand: str | None
    price_micros: int
    list_price_micros: int | None
    image_url: str | None
    url: str | None
    parent_id: str | None
    tags: tuple[str, ...]
    known: bool


def own(asked: SliceProduct, currency: str) -> Product | str:
    """A product with the caller's facts, or why it cannot be offered."""
    name = one_line(asked.name)
    if not name:
        return "no name"
    if asked.currency not in (None, currency):
        return "other currency"
    if not asked.price:
        return "no price"
    if asked.in_stock is False:
        return "sold out"
    price = max(1, round(asked.price * MICROS))
    before = round(asked.list_price * MICROS) if asked.list_price else None
    return Product(
        asked.id, name, asked.category, one_line(asked.brand), price, before, asked.image_url, asked.url,
        asked.parent_id, tuple(asked.tags), known=False,
    )  # fmt: skip


def catalogued(product_id: str, row: dict[str, Any] | None) -> Product | str:
    """A product with the catalogue's facts as they are now, or why it cannot be offered."""
    if row is None:
        return "unknown"
    name = one_line(row["name"])
    if not name:
        return "no name"
    if not row["price_micros"]:
        return "no price"
    if row["in_stock"] is False:
        return "sold out"
    return Product(
        product_id, name, row["category"], one_line(row["brand"]), row["price_micros"], row["list_price_micros"],
        row["image_url"], row["url"], row["parent_id"], (), known=True,
    )  # fmt: skip
