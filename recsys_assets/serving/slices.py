"""Products of a slice of the catalogue: what may be offered of them, or why they may not."""

from collections.abc import Collection
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


@dataclass(frozen=True)
class Bounds:
    """What may be offered: nothing ``banned``, to the person nothing ``withheld``, and new products of ``tiers`` only.

    ``tiers``: None: of any. ``any_tier`` are products that they do not bind: owned or pinned ones.
    """

    banned: Collection[str] = frozenset()
    withheld: Collection[str] = frozenset()
    tiers: Collection[str] | None = None
    any_tier: Collection[str] = frozenset()

    def refused(self, product_id: str, tier: str | None = None) -> str | None:
        """Why the product is none to offer, or None."""
        if product_id in self.banned:
            return "not for sale"
        other = tier is not None and self.tiers is not None and tier not in self.tiers
        if product_id in self.withheld or (other and product_id not in self.any_tier):
            return "not for this person"
        return None


def own(asked: SliceProduct, currency: str, bounds: Bounds) -> Product | str:
    """A product with the caller's facts, or why it cannot be offered."""
    name = one_line(asked.name)
    if not name:
        return "no name"
    if asked.currency not in (None, currency):
        return "other currency"
    if not asked.price:
        return "no price"
    sold_out = "sold out" if asked.in_stock is False else None
    if why := sold_out or bounds.refused(asked.id):  # of which tier it is, the caller's facts do not say
        return why
    price = max(1, round(asked.price * MICROS))
    before = round(asked.list_price * MICROS) if asked.list_price else None
    return Product(
        asked.id, name, asked.category, one_line(asked.brand), price, before, asked.image_url, asked.url,
        asked.parent_id, tuple(asked.tags), known=False,
    )  # fmt: skip


def catalogued(product_id: str, row: dict[str, Any] | None, bounds: Bounds) -> Product | str:
    """A product with the catalogue's facts as they are now, or why it cannot be offered."""
    if row is None:
        return "unknown"
    name = one_line(row["name"])
    if not name:
        return "no name"
    if not row["price_micros"]:
        return "no price"
    unsold = row["not_recommendable"]
    sold_out = "sold out" if row["in_stock"] is False or unsold == "out_of_stock" else unsold and "not for sale"
    if why := sold_out or bounds.refused(product_id, row["price_tier"]):
        return why
    return Product(
        product_id, name, row["category"], one_line(row["brand"]), row["price_micros"], row["list_price_micros"],
        row["image_url"], row["url"], row["parent_id"], (), known=True,
    )  # fmt: skip
