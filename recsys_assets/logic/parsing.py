"""One value as a shop's file holds it → the value that landing keeps, or None where it cannot be read.

Decimals are parsed as decimals, so that no price drifts through a binary float.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import MAX_AMOUNT, MAX_QUANTITY, MAX_RATE, PERSONAL, RATE_DIGITS, Reason
from recsys_assets.tables import MICROS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATE_DIGITS = 8  # of 20240501
_LEAST_RATE = 1 / Decimal(MAX_RATE)
_TRUE = "true 1 1.0 yes y t on ja j oui si sí sim wahr vrai verdadero vero"
_FALSE = "false 0 0.0 no n f off nein non não falsch faux falso"
_WORDS = dict.fromkeys(_TRUE.split(), True) | dict.fromkeys(_FALSE.split(), False)


def parse_time(raw: str, zone: ZoneInfo | None = None) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time, or None; one without offset is local time in ``zone`` (UTC).

    >>> parse_time("1970-01-01T01:00:00+01:00"), parse_time("1970-01-01 00:00:01 UTC"), parse_time("1712011512345")
    (0, 1000000, None)
    """
    text = raw.strip()
    if len(text) > _DATE_DIGITS and text.isdigit():  # an epoch; Python reads some as dates with odd separators
        return None
    try:
        time = datetime.fromisoformat(text.removesuffix(" UTC"))
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC if zone is None or raw.endswith("UTC") else zone)
        return (time - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _decimal(raw: str) -> Decimal | None:
    if "_" in raw:  # Python's digit grouping, and nobody else's
        return None
    try:
        value = Decimal(raw.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def parse_micros(raw: str) -> int | None:
    """Whole millionths of a decimal number, half to even; None where it is none or beyond `MAX_AMOUNT`.

    >>> parse_micros("2.49"), parse_micros("0.0000005"), parse_micros("1e2"), parse_micros("1,5")
    (2490000, 0, 100000000, None)
    """
    value = _decimal(raw)
    if value is None or not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        return None
    return int((value * MICROS).to_integral_value(ROUND_HALF_EVEN))


def parse_whole(raw: str, limit: int = 2**53) -> int | None:
    """A whole number ("2", "2.0") within ±``limit``, or None."""
    value = _decimal(raw)
    if value is None or not -limit <= value <= limit or value != value.to_integral_value():
        return None
    return int(value)


def parse_day(raw: str) -> date | None:
    """The day of an ISO 8601 date or time, or None.

    >>> parse_day("2024-05-01"), parse_day("2024-05-01 00:00:00"), parse_day("1.5.2024")
    (datetime.date(2024, 5, 1), datetime.date(2024, 5, 1), None)
    """
    try:
        return datetime.fromisoformat(raw.strip()).date()
    except ValueError:
        return None


def parse_rate(raw: str) -> str | None:
    """A decimal number above 0 in plain digits, exact; None where it is none, or lies outside the contract's bounds.

    >>> parse_rate("0.93210"), parse_rate("1e-2"), parse_rate("0"), parse_rate("1,08")
    ('0.9321', '0.01', None, None)
    """
    value = _decimal(raw)
    if value is None or not _LEAST_RATE <= value <= MAX_RATE:
        return None
    digits = Fraction(value) * 10**RATE_DIGITS
    if digits.denominator != 1:
        return None
    text = str(digits.numerator).rjust(RATE_DIGITS + 1, "0")
    return f"{text[:-RATE_DIGITS]}.{text[-RATE_DIGITS:]}".rstrip("0").rstrip(".")


def _quantity(raw: str) -> int | None:
    return parse_whole(raw, MAX_QUANTITY)


def _finite(raw: str) -> float | None:
    value = _decimal(raw)
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) else None


def _truth(raw: str) -> bool | None:
    return _WORDS.get(raw.strip().lower())


def _words(raw: str) -> list[str] | None:
    if not raw.lstrip().startswith("["):
        return [word.strip() for word in raw.split("|") if word.strip()]
    try:
        words = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return words if all(isinstance(word, str) for word in words) else None


def _json_object(raw: str) -> str | None:
    try:
        return raw if isinstance(json.loads(raw), dict) else None
    except (ValueError, RecursionError):
        return None


def impersonal(raw: str) -> str:
    """A JSON object without what names a person or says where they live."""

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {k: kept(v) for k, v in value.items() if re.sub(r"[\s_-]", "", k).lower() not in PERSONAL}

    return json.dumps(kept(json.loads(raw)), ensure_ascii=False, sort_keys=True)


PARSERS: dict[str, tuple[Callable[[str], Any], pl.DataType, Reason]] = {
    "quantity": (_quantity, pl.Int64(), "quantity_unreadable"),
    "integer": (parse_whole, pl.Int64(), "number_unreadable"),
    "number": (_finite, pl.Float64(), "number_unreadable"),
    "boolean": (_truth, pl.Boolean(), "value_malformed"),
    "list": (_words, pl.List(pl.String), "value_malformed"),
    "object": (_json_object, pl.String(), "value_malformed"),
    "day": (parse_day, pl.Date(), "date_unreadable"),
    "rate": (parse_rate, pl.String(), "rate_unreadable"),
}
