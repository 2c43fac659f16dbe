"""What a suite is made of: rules that polars counts exactly and Great Expectations shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

Severity = Literal["error", "warn"]


@dataclass(frozen=True)
class Expectation:
    """One rule's verdict. ``observed`` counts over all rows, in words; it never holds a row's value."""

    name: str
    column: str
    ok: bool
    severity: Severity
    observed: str
    what: str


@dataclass(frozen=True)
class Rule:
    """A rule for every row.

    ``broken`` is true on rows that break it. ``value`` is what Great Expectations sees as ``column``, and ``kind``
    with ``arguments`` says the rule to it. A value never tells who a person is: see `is_set`.
    """

    name: str
    column: str
    what: str
    value: pl.Expr
    broken: pl.Expr
    kind: str
    arguments: Mapping[str, Any]
    severity: Severity = "error"


@dataclass(frozen=True)
class Whole:
    """A rule for the whole table: ``ok`` and ``observed`` are one value each."""

    name: str
    what: str
    ok: pl.Expr
    observed: pl.Expr
    severity: Severity = "error"


@dataclass(frozen=True)
class Suite:
    """The rules of one table. ``order`` is what examples of rows that break a rule are chosen by."""

    table: str
    what: str
    rules: tuple[Rule, ...]
    wholes: tuple[Whole, ...] = ()
    order: tuple[str, ...] = ()


def is_set(name: str, column: str, value: pl.Expr, what: str) -> Rule:
    """The value is there; the pages show that and nothing else of it."""
    shown = pl.when(value.is_not_null()).then(pl.lit("set"))
    return Rule(name, column, what, shown, value.is_null(), "ExpectColumnValuesToNotBeNull", {})


def is_unique(name: str, column: str, value: pl.Expr, what: str) -> Rule:
    """The value is there once, or not at all; the pages see a hash of it."""
    shown = pl.when(value.is_not_null()).then(value.hash().cast(pl.String))
    broken = value.is_duplicated() & value.is_not_null()
    return Rule(name, column, what, shown, broken, "ExpectColumnValuesToBeUnique", {})


def among(name: str, column: str, values: tuple[str, ...], what: str) -> Rule:
    """The value of the column is one of ``values``, or missing."""
    value = pl.col(column)
    return Rule(
        name, column, what, value, ~value.is_in(values), "ExpectColumnValuesToBeInSet", {"value_set": [*values]}
    )


def between(
    name: str,
    column: str,
    value: pl.Expr,
    what: str,
    low: float | None = None,
    high: float | None = None,
    severity: Severity = "error",
) -> Rule:
    """The number lies from ``low`` to ``high``, or is missing."""
    bounds = {"min_value": low, "max_value": high}
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    inside = value.is_between(float("-inf") if low is None else low, float("inf") if high is None else high)
    # As floats, because pandas has no whole numbers beside nulls.
    shown = value.cast(pl.Float64)
    return Rule(name, column, what, shown, ~inside, "ExpectColumnValuesToBeBetween", given, severity)


def dates_between(name: str, column: str, first: date | None, last: date, what: str) -> Rule:
    """The date lies from ``first`` to ``last``, or is missing."""
    value = pl.col(column)
    moments = pl.select(first=pl.lit(first).cast(pl.Datetime("us")), last=pl.lit(last).cast(pl.Datetime("us")))
    low, high = moments.row(0)
    bounds = {"max_value": high} | ({} if first is None else {"min_value": low})
    broken = value > last if first is None else ~value.is_between(first, last)
    shown = value.cast(pl.Datetime("us"))
    return Rule(name, column, what, shown, broken, "ExpectColumnValuesToBeBetween", bounds)


def no_row(name: str, what: str, broken: pl.Expr, severity: Severity = "error") -> Rule:
    """No row is such; the pages see 0 or 1."""
    hit = broken.fill_null(False)
    shown = hit.cast(pl.Float64)
    arguments = {"min_value": 0, "max_value": 0}
    return Rule(name, name, what, shown, hit, "ExpectColumnValuesToBeBetween", arguments, severity)
