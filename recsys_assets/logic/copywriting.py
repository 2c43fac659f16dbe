"""Marketing copy from templates: fixed words around slots that only facts fill."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from recsys_assets.amounts import MICROS

_SLOT = re.compile(r"\{(\w+)\}")
_DECIMALS = {"BHD": 3, "CLP": 0, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3, "VND": 0}
# Per cent off from which a discount is worth a word, everywhere: "1 % off" draws the eye to how little it is.
# The view live_offers has the same number (sql/schema/011_offers.sql).
LEAST_DISCOUNT = 5
_SYMBOLS = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}


@dataclass(frozen=True)
class Copy:
    """Headline and sub-line of a block of offers."""

    headline: str
    sub_line: str


# The words claim no more than the reason does.
TEMPLATES: Mapping[str, Copy] = {
    "bought_before": Copy("Back in your basket?", "Products you have bought at {shop} before."),
    "similar_owned": Copy("Goes with what you like", "Close to products you have bought at {shop}."),
    "category_owned": Copy("More from your favourite aisles", "From categories you have bought at {shop}."),
    "popular": Copy("What others buy right now", "Popular with customers of {shop}."),
    "taste": Copy("Picked for you", "Chosen from what people with your taste buy at {shop}."),
    "pinned": Copy("Our choice", "Chosen by {shop}."),
}
NEUTRAL = Copy("You may also like", "A few more products from {shop}.")


def fill(template: str, facts: Mapping[str, str]) -> str:
    """``template`` with every ``{slot}`` replaced by its fact; facts are never read for slots themselves.

    Raises:
        KeyError: a slot has no fact.

    >>> fill("Hello {name}", {"name": "{name}"})
    'Hello {name}'
    """
    return _SLOT.sub(lambda match: facts[match[1]], template)


def block_copy(reason_codes: Sequence[str | None], shop_name: str) -> Copy:
    """Copy for a block of offers with these reasons.

    One reason speaks for the block only where all offers have it: anything else would be untrue of some of them.
    """
    codes = Counter(reason_codes)
    only = next(iter(codes)) if len(codes) == 1 else None
    chosen = TEMPLATES.get(only or "", NEUTRAL)
    facts = {"shop": shop_name}
    return Copy(fill(chosen.headline, facts), fill(chosen.sub_line, facts))


def discount_percent(price_micros: int | None, list_price_micros: int | None) -> int | None:
    """Whole per cent off the list price, rounded down; None below `LEAST_DISCOUNT`.

    >>> discount_percent(7_490_000, 9_990_000), discount_percent(9_510_000, 10_000_000), discount_percent(5, None)
    (25, None, None)
    """
    if not price_micros or not list_price_micros:
        return None
    percent = (list_price_micros - price_micros) * 100 // list_price_micros
    return percent if percent >= LEAST_DISCOUNT else None


def is_discounted(price_micros: int | None, list_price_micros: int | None) -> bool:
    """Whether there is a discount worth a word.

    >>> is_discounted(7_490_000, 9_990_000), is_discounted(9_510_000, 10_000_000), is_discounted(5, None)
    (True, False, False)
    """
    return discount_percent(price_micros, list_price_micros) is not None


def money(amount: Decimal, currency: str) -> str:
    r"""An amount as a person reads it, with the currency's own number of decimals.

    >>> money(Decimal("1234.5"), "USD"), money(Decimal("980"), "JPY"), money(Decimal("-3"), "CHF")
    ('$1,234.50', '¥980', '-CHF\xa03.00')
    """
    decimals = _DECIMALS.get(currency, 2)
    rounded = amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    symbol = _SYMBOLS.get(
        currency, f"{currency}\N{NO-BREAK SPACE}"
    )  # a no-break space, so that no line ends between the two
    return f"{'-' if rounded < 0 else ''}{symbol}{abs(rounded):,.{decimals}f}"


def micros_to_amount(micros: int) -> Decimal:
    """Millionths as a decimal amount."""
    return Decimal(micros) / MICROS
