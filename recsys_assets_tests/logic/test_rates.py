"""Prices in the base currency: exact, at the rate of the day, and rejected while there is none."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.contract import MAX_AMOUNT, RATE_DIGITS
from recsys_assets.logic.events import Cleaned, clean
from recsys_assets.logic.parsing import parse_rate
from recsys_assets.logic.rates import converted, with_rate
from recsys_assets.tables import LANDING_EVENTS, LANDING_RATES, MICROS
from recsys_assets_tests.models.builders import rows

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def rate(currency: str, day: date, value: str, **more: Any) -> dict[str, object]:
    made = {"currency": currency, "event_date": day, "rate": value, "source_file": "f", "source_line": 1}
    return made | {"landed_at": NOW} | more


def rates(*given_rows: dict[str, object]) -> pl.DataFrame:
    return rows(LANDING_RATES, list(given_rows))


def sold(day: date, currency: str, price: int | None = 2 * MICROS, **more: Any) -> dict[str, object]:
    made = {
        "event_id": f"{day} {currency} {price}", "event_type": "purchase", "event_date": day, "user_key": "u",
        "event_time": datetime(day.year, day.month, day.day, tzinfo=UTC), "product_id": "p", "quantity": 1,
        "unit_price_micros": price, "list_price_micros": price, "currency": currency, "source_file": "f",
        "source_line": 1, "row_hash": "0",
    }  # fmt: skip
    return made | more


def cleaned(given_rows: list[dict[str, object]], *known: dict[str, object]) -> Cleaned:
    return clean(rows(LANDING_EVENTS, given_rows), rates(*known), "EUR")


def prices(made: Cleaned) -> dict[date, int]:
    return dict(made.clean.select("event_date", "unit_price_micros").iter_rows())


MAY = [date(2024, 5, day) for day in range(1, 6)]


def test_the_newest_rate_not_after_the_day_converts_both_prices() -> None:
    made = cleaned(
        [sold(day, "USD", list_price_micros=4 * MICROS) for day in MAY[1:]],
        rate("USD", MAY[1], "0.9"), rate("USD", MAY[3], "0.95"), rate("GBP", MAY[2], "7"),
    )  # fmt: skip
    assert prices(made) == {MAY[1]: 1_800_000, MAY[2]: 1_800_000, MAY[3]: 1_900_000, MAY[4]: 1_900_000}
    assert made.clean["list_price_micros"].to_list() == [3_600_000, 3_600_000, 3_800_000, 3_800_000]
    assert set(made.clean["currency"]) == {"EUR"}


def test_without_a_rate_a_row_is_rejected_as_sent_and_comes_back_with_it() -> None:
    sent = [sold(MAY[0], "USD"), sold(MAY[0], "EUR"), sold(MAY[0], "JPY", None)]
    before = cleaned(sent, rate("USD", MAY[1], "0.9"))
    rejected = before.rejected.row(0, named=True)
    assert before.rejected.height == 1
    assert (rejected["reason"], rejected["currency"], rejected["unit_price_micros"]) == (
        "currency_without_rate", "USD", 2 * MICROS,
    )  # fmt: skip
    assert before.clean["unit_price_micros"].to_list() == [2 * MICROS, None]  # a row without a price needs no rate
    after = cleaned(sent, rate("USD", MAY[0], "0.5"))
    assert after.rejected.is_empty()
    assert sorted(after.clean["unit_price_micros"].drop_nulls()) == [MICROS, 2 * MICROS]


def test_of_rates_of_one_day_the_last_to_land_holds_and_a_refused_one_never() -> None:
    later = NOW.replace(day=2)
    known = (
        rate("USD", MAY[0], "0.7", landed_at=later, source_line=2),
        rate("USD", MAY[0], "0.6", landed_at=later, source_line=1),
        rate("USD", MAY[0], "0.5", source_file="z"),
        rate("USD", MAY[0], "0.1", landed_at=later, source_line=3, problem="rate_unreadable"),
    )
    assert prices(cleaned([sold(MAY[0], "USD")], *known)) == {MAY[0]: 1_400_000}
    assert prices(cleaned([sold(MAY[0], "USD")], *reversed(known))) == {MAY[0]: 1_400_000}


def test_the_base_currency_is_worth_1_whatever_a_file_says() -> None:
    assert prices(cleaned([sold(MAY[0], "EUR")], rate("EUR", MAY[0], "3"))) == {MAY[0]: 2 * MICROS}


def test_what_grows_beyond_the_bound_is_rejected_and_overflows_nothing() -> None:
    huge = sold(MAY[0], "USD", MAX_AMOUNT * MICROS)
    for value in ("1.1", "1000000000000"):
        assert cleaned([huge], rate("USD", MAY[0], value)).rejected["reason"].to_list() == ["amount_too_large"]
    listed = sold(MAY[0], "USD", list_price_micros=MAX_AMOUNT * MICROS)
    assert cleaned([listed], rate("USD", MAY[0], "1.1")).rejected["reason"].to_list() == ["amount_too_large"]
    many = sold(MAY[0], "USD", 600_000_000 * MICROS, quantity=2, list_price_micros=None)
    assert cleaned([many], rate("USD", MAY[0], "0.5")).rejected.is_empty()
    assert cleaned([many], rate("USD", MAY[0], "0.9")).rejected["reason"].to_list() == ["amount_too_large"]


_PRICES = st.integers(0, MAX_AMOUNT * MICROS)
_RATES = st.integers(1, 10**12).flatmap(lambda n: st.integers(0, RATE_DIGITS).map(lambda d: Decimal(n).scaleb(-d)))


@given(st.lists(st.tuples(_PRICES, _RATES), min_size=1, max_size=20))
def test_conversion_is_exact_and_half_to_even(pairs: list[tuple[int, Decimal]]) -> None:
    frame = pl.DataFrame(
        [(price, format(value, "f")) for price, value in pairs],
        schema={"unit_price_micros": pl.Int64, "_rate": pl.String}, orient="row",
    )  # fmt: skip
    with localcontext(prec=80):
        exact = [int((price * value).to_integral_value(ROUND_HALF_EVEN)) for price, value in pairs]
    most = MAX_AMOUNT * MICROS
    made = converted(frame, "unit_price_micros").to_list()
    assert [min(value, most + 1) for value in made] == [min(value, most + 1) for value in exact]


@given(
    st.lists(st.tuples(st.sampled_from(["EUR", "USD", "GBP"]), st.sampled_from(MAY)), max_size=12),
    st.dictionaries(st.tuples(st.sampled_from(["USD", "GBP"]), st.sampled_from(MAY)), st.integers(1, 9), max_size=8),
)
def test_rates_are_found_as_by_hand(asked: list[tuple[str, date]], known: dict[tuple[str, date], int]) -> None:
    frame = pl.DataFrame(asked, schema={"currency": pl.String, "event_date": pl.Date}, orient="row")
    found = with_rate(frame, pl.col("event_date"), rates(*(rate(c, d, str(v)) for (c, d), v in known.items())), "EUR")

    def by_hand(currency: str, day: date) -> str | None:
        days = [d for c, d in known if c == currency and d <= day]
        return "1" if currency == "EUR" else str(known[currency, max(days)]) if days else None

    assert found["_rate"].to_list() == [by_hand(*row) for row in asked]
    assert found.drop("_rate").equals(frame)


@pytest.mark.parametrize(
    "raw", ["0", "-1", "", "1,08", "nan", "inf", "1e13", "1e-13", "1e-31", "one", "1_0", "1e999999"]
)
def test_no_rate(raw: str) -> None:
    assert parse_rate(raw) is None
