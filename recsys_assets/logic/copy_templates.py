"""Intent and trigger → the text that stands where no language model wrote one, and how slots are filled.

One text per (language, intent, trigger), and one sentence for a discount in place of its own. The words have to be true
of any product and any person with that intent, as `logic.intents` means it, so that they ask rather than claim. An
upgrade is of a higher price tier, which does not make it better; what is replenished was bought before, which is what
"again" says; a gift is one by its own words; what is explored may have been bought long ago. German does without "du"
and "Sie", as a template knows no tone.
"""

from collections.abc import Mapping
from decimal import Decimal

from recsys_assets.logic.copy_facts import Intent, Language, Text, Trigger
from recsys_assets.logic.copywriting import discount_percent, fill, micros_to_amount, money

# Headline, sentence, call to action. Names are of any length, so that none stands in a headline.
TEMPLATES: Mapping[tuple[Language, Intent, Trigger], Text] = {
    ("en", "gift", "on-page"): Text("Looking for a gift?", "{name} may be a present for somebody.", "See the gift"),
    ("en", "gift", "in-cart"): Text("A gift to go with it?", "{name} may be one for your basket.", "See the gift"),
    ("en", "gift", "post-purchase"): Text("For somebody else?", "{name} may be a present.", "See the gift"),
    ("en", "upgrade", "on-page"): Text("Another one to compare", "How about {name} at {shop}?", "Compare"),
    ("en", "upgrade", "in-cart"): Text("Before you decide", "Have a look at {name} as well.", "Compare"),
    ("en", "upgrade", "post-purchase"): Text("For next time", "{name} is another one to know.", "Have a look"),
    ("en", "accessory", "on-page"): Text("To go with it?", "{name} may go with this.", "See if it fits"),
    ("en", "accessory", "in-cart"): Text("Anything else?", "How about {name}?", "See if it fits"),
    ("en", "accessory", "post-purchase"): Text("To go with your order?", "Have a look at {name}.", "See if it fits"),
    ("en", "replenish", "on-page"): Text("Time for more?", "You have bought {name} at {shop} before.", "Buy it again"),
    ("en", "replenish", "in-cart"): Text("Is this on your list?", "{name}: you have bought it before.", "Add it again"),
    ("en", "replenish", "post-purchase"): Text("Running low?", "{name} is at {shop} for {price}.", "Buy it again"),
    ("en", "explore", "on-page"): Text("Something to look at", "{name} at {shop}, for {price}.", "Have a look"),
    ("en", "explore", "in-cart"): Text("While you are here", "Do you know {name}?", "Have a look"),
    ("en", "explore", "post-purchase"): Text("What comes next?", "{name} may be one to look at.", "Have a look"),
    ("de", "gift", "on-page"): Text("Ein Geschenk gesucht?", "Vielleicht ist es {name}.", "Zum Geschenk"),
    ("de", "gift", "in-cart"): Text("Ein Geschenk dazu?", "Vielleicht passt {name} dazu.", "Zum Geschenk"),
    ("de", "gift", "post-purchase"): Text("Zum Verschenken?", "Vielleicht passt {name}.", "Zum Geschenk"),
    ("de", "upgrade", "on-page"): Text("Zum Vergleichen", "Wie wäre es mit {name} von {shop}?", "Vergleichen"),
    ("de", "upgrade", "in-cart"): Text("Vor der Entscheidung", "Auch {name} ist einen Blick wert.", "Vergleichen"),
    ("de", "upgrade", "post-purchase"): Text("Für das nächste Mal", "Auch {name} gibt es bei {shop}.", "Ansehen"),
    ("de", "accessory", "on-page"): Text("Passt das dazu?", "Dazu gehört vielleicht {name}.", "Ansehen"),
    ("de", "accessory", "in-cart"): Text("Etwas dazu?", "Zum Warenkorb passt vielleicht {name}.", "Ansehen"),
    ("de", "accessory", "post-purchase"): Text("Etwas zur Bestellung?", "Dazu passt vielleicht {name}.", "Ansehen"),
    ("de", "replenish", "on-page"): Text("Zeit für Nachschub?", "{name}: schon bei {shop} gekauft.", "Erneut kaufen"),
    ("de", "replenish", "in-cart"): Text("Fehlt das noch?", "{name} wurde schon einmal gekauft.", "Wieder dazulegen"),
    ("de", "replenish", "post-purchase"): Text("Geht das zur Neige?", "{name} gibt es für {price}.", "Erneut kaufen"),
    ("de", "explore", "on-page"): Text("Etwas zum Entdecken", "{name} gibt es bei {shop} für {price}.", "Ansehen"),
    ("de", "explore", "in-cart"): Text("Noch ein Blick", "Schon bekannt: {name}?", "Ansehen"),
    ("de", "explore", "post-purchase"): Text("Wie geht es weiter?", "Vielleicht mit {name}.", "Ansehen"),
}  # fmt: skip
DISCOUNTED: Mapping[tuple[Language, Trigger], str] = {
    ("en", "on-page"): "{name} is {discount}: {price} instead of {list_price}.",
    ("en", "in-cart"): "{name} was {list_price} and is now {price}.",
    ("en", "post-purchase"): "{name} at {shop}: {price} instead of {list_price}.",
    ("de", "on-page"): "{name} ist {discount}: {price} statt {list_price}.",
    ("de", "in-cart"): "{name} gibt es jetzt für {price} statt {list_price}.",
    ("de", "post-purchase"): "{name} bei {shop}: {price} statt {list_price}.",
}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_GERMAN_MARKS = str.maketrans(".,", ",.")
_GERMAN_SYMBOLS = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}
_DIGITS = "0123456789"


def template(language: Language, intent: Intent, trigger: Trigger, *, discounted: bool) -> Text:
    """The text of ours; a discounted one needs `Facts.discounted` as its slots ``discount`` and ``list_price`` do.

    >>> template("en", "replenish", "on-page", discounted=False).sentence
    'You have bought {name} at {shop} before.'
    """
    text = TEMPLATES[language, intent, trigger]
    return Text(text.headline, DISCOUNTED[language, trigger], text.call_to_action) if discounted else text


def render(text: Text, values: Mapping[str, str]) -> Text:
    """``text`` with every slot filled; values are never read for slots.

    Raises:
        KeyError: a slot has no value.

    >>> render(Text("Hi", "{name} for {price}.", "See"), {"name": "{shop}", "price": "€2.49"}).sentence
    '{shop} for €2.49.'
    """
    return Text.of({part: fill(words, values) for part, words in text.parts().items()})


def slot_values(
    name: str,
    brand: str | None,
    price_micros: int | None,
    list_price_micros: int | None,
    currency: str,
    shop: str,
    language: Language,
) -> dict[str, str]:
    r"""Slot → what it says to a reader of the language; slots without a fact are left out.

    A discount below `LEAST_DISCOUNT` is none, and then there is no list price either: both come and go together.

    >>> slot_values("Tea", None, 2_490_000, 3_490_000, "EUR", "Teas", "en")["discount"].replace("\xa0", " ")
    '28 % off'
    >>> sorted(slot_values("Tea", "Acme", 2_490_000, 2_490_000, "EUR", "Teas", "en"))
    ['brand', 'name', 'price', 'shop']
    """
    values = {"name": name, "shop": shop}
    if brand:
        values["brand"] = brand
    if price_micros is None:
        return values
    values["price"] = price_text(micros_to_amount(price_micros), currency, language)
    percent = discount_percent(price_micros, list_price_micros)
    if percent and list_price_micros:
        values["list_price"] = price_text(micros_to_amount(list_price_micros), currency, language)
        values["discount"] = f"{percent}{_NO_BREAK}% {'off' if language == 'en' else 'günstiger'}"
    return values


def price_text(amount: Decimal, currency: str, language: Language) -> str:
    r"""An amount as a reader of the language expects it: English as `money` says, German with the currency behind.

    >>> price_text(Decimal("2.49"), "EUR", "en"), price_text(Decimal("1234.5"), "EUR", "de")
    ('€2.49', '1.234,50\xa0€')
    """
    said = money(amount, currency)
    if language == "en":
        return said
    figures = said[min(said.index(digit) for digit in _DIGITS if digit in said) :]  # `money` knows each currency's
    sign = "-" if said.startswith("-") else ""
    return f"{sign}{figures.translate(_GERMAN_MARKS)}{_NO_BREAK}{_GERMAN_SYMBOLS.get(currency, currency)}"
