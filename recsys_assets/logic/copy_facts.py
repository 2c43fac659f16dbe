"""What a text about a product is written from, under which key it is kept, and what it consists of.

A text is never written for a person: it is kept under (facts hash, intent, reason kind, tone, language, prompt version)
and serves everybody to whom that applies, until the facts change. Amounts are no facts of a text but slots of it,
filled whenever it is shown: a price may change and the text stays true. *That* a product is discounted is a fact, so
that what was written about a promotion ends with it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Intent = Literal["gift", "upgrade", "accessory", "replenish", "explore"]
Trigger = Literal["on-page", "in-cart", "post-purchase"]
Language = Literal["en", "de"]
Tone = Literal["friendly", "plain"]
INTENTS: tuple[Intent, ...] = ("gift", "upgrade", "accessory", "replenish", "explore")
TRIGGERS: tuple[Trigger, ...] = ("on-page", "in-cart", "post-purchase")
LANGUAGES: tuple[Language, ...] = ("en", "de")
# What a text may leave open; `shop` and `name` are always there, the others where the product has them.
_SLOT = re.compile(r"\{(\w+)\}")
SLOTS = ("name", "brand", "price", "list_price", "discount", "shop")


@dataclass(frozen=True)
class Facts:
    """What is said of one product. ``attributes`` is a JSON object as the catalogue sent it."""

    product_id: str
    name: str
    category: str | None = None
    brand: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    attributes: str | None = None
    discounted: bool = False

    def hash(self) -> str:
        """32 hex digits that change with any fact.

        >>> Facts("p1", "Tea").hash() == Facts("p1", "Tea").hash() != Facts("p1", "Tea", discounted=True).hash()
        True
        """
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def slots(self) -> tuple[str, ...]:
        """The slots that a text about this product may hold."""
        there = {"name", "shop", "price", *(["brand"] if self.brand else [])}
        there |= {"list_price", "discount"} if self.discounted else set()
        return tuple(slot for slot in SLOTS if slot in there)


@dataclass(frozen=True)
class TextKey:
    """Under what a text is kept, but for the facts' hash, which goes with `Facts`."""

    intent: Intent
    reason_kind: str
    tone: Tone
    language: Language
    prompt_version: str


@dataclass(frozen=True)
class Text:
    """Words with ``{slot}`` in them; the three parts of one offer."""

    headline: str
    sentence: str
    call_to_action: str

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Self:
        """From the fields of the same names."""
        return cls(str(parts["headline"]), str(parts["sentence"]), str(parts["call_to_action"]))

    def slots(self) -> set[str]:
        """The slots that it leaves open.

        >>> sorted(Text("Hi", "{name} for {price}", "See").slots())
        ['name', 'price']
        """
        return {match[1] for words in self.parts().values() for match in _SLOT.finditer(words)}

    def parts(self) -> dict[str, str]:
        """Name → words."""
        return asdict(self)
