from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_assets.logic.copywriting import (
    LEAST_DISCOUNT,
    NEUTRAL,
    TEMPLATES,
    Copy,
    block_copy,
    discount_percent,
    fill,
    micros_to_amount,
    money,
)
from recsys_assets.logic.reasons import REASONS

SHOP = "Corner Shop"


def test_every_reason_has_its_words_and_no_word_is_of_a_reason_that_is_never_given() -> None:
    assert set(TEMPLATES) == set(REASONS)


@pytest.mark.parametrize("code", sorted(TEMPLATES))
def test_one_reason_speaks_for_the_block_where_all_offers_have_it(code: str) -> None:
    words = block_copy([code, code], SHOP)
    assert words.headline == TEMPLATES[code].headline
    assert SHOP in words.sub_line
    assert "{" not in words.headline + words.sub_line


@pytest.mark.parametrize("codes", [["popular", "taste"], ["popular", None], [None], [], ["never heard of"]])
def test_otherwise_the_words_claim_nothing(codes: list[str | None]) -> None:
    assert block_copy(codes, SHOP) == Copy(NEUTRAL.headline, "A few more products from Corner Shop.")


def test_a_name_that_looks_like_a_slot_stays_a_name() -> None:
    assert block_copy(["popular"], "{shop} & {x}").sub_line == "Popular with customers of {shop} & {x}."
    assert fill("{a} and {b}", {"a": "{b}", "b": "{a}"}) == "{b} and {a}"


def test_a_slot_without_a_fact_is_refused() -> None:
    with pytest.raises(KeyError, match="colour"):
        fill("In {colour}", {"shop": SHOP})


@pytest.mark.parametrize(
    ("price", "before", "percent"),
    [
        (75, 100, 25),
        (67, 100, 33),
        (7_501, 10_000, 24),  # 24.99, rounded down: never more than is given
        (95, 100, 5),
        (951, 1000, None),  # 4.9: no word is made of it
        (99, 100, None),
        (100, 100, None),
        (110, 100, None),  # dearer than before
        (1, 100, 99),
        (0, 100, None),  # a price of 0 is no price
        (None, 100, None),
        (100, None, None),
        (100, 0, None),
    ],
)
def test_discount_percent(price: int | None, before: int | None, percent: int | None) -> None:
    assert discount_percent(price, before) == percent


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("0", "USD", "$0.00"),
        ("1234567.891", "EUR", "€1,234,567.89"),
        ("0.005", "GBP", "£0.01"),  # half up, as on a receipt
        ("0.004", "GBP", "£0.00"),
        ("1234.5", "JPY", "¥1,235"),
        ("1.2345", "KWD", "KWD\N{NO-BREAK SPACE}1.235"),
        ("-3.5", "USD", "-$3.50"),
        ("-0.001", "USD", "$0.00"),  # and not "-$0.00"
    ],
)
def test_money(amount: str, currency: str, said: str) -> None:
    assert money(Decimal(amount), currency) == said


def test_micros_are_exact() -> None:
    assert micros_to_amount(1) == Decimal("0.000001")
    assert micros_to_amount(2**53 + 1) == Decimal(2**53 + 1) / 10**6


@settings(deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_no_discount_promises_more_than_is_given(price: int, before: int) -> None:
    percent = discount_percent(price, before)
    if percent is None:
        assert (before - price) * 100 < before * LEAST_DISCOUNT
    else:
        assert LEAST_DISCOUNT <= percent <= 99
        assert before * percent <= (before - price) * 100 < before * (percent + 1)


@settings(deadline=None)
@given(st.text())
def test_facts_are_never_read_for_slots(name: str) -> None:
    assert fill("<{shop}>", {"shop": name}) == f"<{name}>"
