from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.logic.copy_facts import INTENTS, LANGUAGES, TRIGGERS, Facts, Intent, Language, Text, TextKey, Trigger
from recsys_assets.logic.copy_templates import DISCOUNTED, TEMPLATES, price_text, render, slot_values, template
from recsys_assets.logic.copy_validation import Rules, refusals
from recsys_assets.tuning import Copywriting

NBSP = "\N{NO-BREAK SPACE}"
RULES = Rules.of(Copywriting())


def test_there_is_a_template_for_everything() -> None:
    assert set(TEMPLATES) == set(product(LANGUAGES, INTENTS, TRIGGERS))
    assert set(DISCOUNTED) == set(product(LANGUAGES, TRIGGERS))


@pytest.mark.parametrize("discounted", [False, True])
@pytest.mark.parametrize(("language", "intent", "trigger"), sorted(TEMPLATES))
def test_every_template_passes_what_a_model_has_to_pass(
    language: Language, intent: Intent, trigger: Trigger, discounted: bool
) -> None:
    text = template(language, intent, trigger, discounted=discounted)
    facts = Facts("p1", "A Name That Is Rather Long For A Shop, With a Size of 1000 ml", discounted=discounted)
    assert refusals(text, facts, TextKey(intent, "similar_owned", "friendly", language, "1"), RULES) == []
    assert "{" not in text.headline + text.call_to_action  # names of any length stand in sentences only


@pytest.mark.parametrize("discounted", [False, True])
@pytest.mark.parametrize(("language", "intent", "trigger"), sorted(TEMPLATES))
def test_no_slot_stays_open(language: Language, intent: Intent, trigger: Trigger, discounted: bool) -> None:
    values = slot_values("Tea", None, 2_490_000, 3_490_000 if discounted else None, "EUR", "Teas", language)
    text = render(template(language, intent, trigger, discounted=discounted), values)
    assert "{" not in "".join(text.parts().values())
    assert "Tea" in text.sentence


@pytest.mark.parametrize(("language", "trigger"), sorted(DISCOUNTED))
def test_only_replenish_says_that_it_was_bought(language: Language, trigger: Trigger) -> None:
    for intent in INTENTS:
        said = " ".join(template(language, intent, trigger, discounted=False).parts().values()).lower()
        if intent != "replenish":
            assert not any(word in said.split() for word in ("again", "bought", "erneut", "wieder", "gekauft"))


def test_a_price_changed_after_writing_is_the_one_that_is_shown() -> None:
    text = template("en", "explore", "on-page", discounted=False)
    shown = [
        render(text, slot_values("Tea", None, p, None, "EUR", "Teas", "en")).sentence for p in (2_490_000, 990_000)
    ]
    assert shown == ["Tea at Teas, for €2.49.", "Tea at Teas, for €0.99."]


def test_a_discount_is_said_once_and_in_the_reader_s_language() -> None:
    english = render(
        template("en", "gift", "on-page", discounted=True),
        slot_values("Tea", None, 7_490_000, 9_990_000, "EUR", "Teas", "en"),
    )
    german = render(
        template("de", "gift", "on-page", discounted=True),
        slot_values("Tee", None, 7_490_000, 9_990_000, "EUR", "Teas", "de"),
    )
    # (9.99 - 7.49) / 9.99 = 25.03 %
    assert english.sentence == f"Tea is 25{NBSP}% off: €7.49 instead of €9.99."
    assert german.sentence == f"Tee ist 25{NBSP}% günstiger: 7,49{NBSP}€ statt 9,99{NBSP}€."


@pytest.mark.parametrize(
    ("price", "list_price", "slots"),
    [
        (2_490_000, None, {"name", "shop", "price"}),
        (2_490_000, 2_490_000, {"name", "shop", "price"}),
        (2_490_000, 1_990_000, {"name", "shop", "price"}),  # dearer than before
        (9_501_000, 10_000_000, {"name", "shop", "price"}),  # 4.99 %: neither is said
        (2_490_000, 4_980_000, {"name", "shop", "price", "list_price", "discount"}),
        (None, 4_980_000, {"name", "shop"}),
    ],
)
def test_slots_without_a_fact_are_left_out(price: int | None, list_price: int | None, slots: set[str]) -> None:
    assert set(slot_values("Tea", "", price, list_price, "EUR", "Teas", "en")) == slots


@pytest.mark.parametrize(
    ("amount", "currency", "english", "german"),
    [
        ("2.49", "EUR", "€2.49", f"2,49{NBSP}€"),
        ("1234567.5", "EUR", "€1,234,567.50", f"1.234.567,50{NBSP}€"),
        ("980", "JPY", "¥980", f"980{NBSP}¥"),
        ("1234.5678", "KWD", f"KWD{NBSP}1,234.568", f"1.234,568{NBSP}KWD"),
        ("12", "CHF", f"CHF{NBSP}12.00", f"12,00{NBSP}CHF"),
        ("-3.5", "USD", "-$3.50", f"-3,50{NBSP}$"),
        ("0", "GBP", "£0.00", f"0,00{NBSP}£"),
    ],
)
def test_prices_as_a_reader_expects_them(amount: str, currency: str, english: str, german: str) -> None:
    assert price_text(Decimal(amount), currency, "en") == english
    assert price_text(Decimal(amount), currency, "de") == german


def test_a_slot_without_a_value_is_refused() -> None:
    with pytest.raises(KeyError, match="discount"):
        render(Text("Hi", "{name} is {discount}.", "See"), {"name": "Tea"})


@given(st.text(), st.text())
def test_values_are_never_read_for_slots(name: str, shop: str) -> None:
    text = render(Text("{name}", "{shop}{name}", "{shop}"), {"name": name, "shop": shop})
    assert text == Text(name, shop + name, shop)
