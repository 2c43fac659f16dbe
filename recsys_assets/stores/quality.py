"""Great Expectations over clean events: one suite, its verdicts, and pages to browse.

The verdicts are exact: polars counts the rows that break each rule over the whole frame. Great Expectations then
judges a sample that holds rows of every broken rule, so that its pages say the same. It never sees a key: columns of
people reach it as "set" or nothing, and its results carry no values.
"""

import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from recsys_assets.tables import CLEAN_EVENTS, EVENT_TYPES

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warn"]
SAMPLE_ROWS = 200_000
_EXAMPLES = 1000  # rows of each broken rule that the sample holds at least


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
class _Rule:
    """``broken`` is true on rows that break the rule; ``kind`` and ``arguments`` say it to Great Expectations."""

    name: str
    column: str
    what: str
    broken: pl.Expr
    kind: str
    arguments: Mapping[str, Any]


_PERSON = pl.coalesce("user_key", "anon_key")
_DAYS_APART = (pl.col("event_time").dt.date() - pl.col("event_date")).dt.total_days()
_BOUGHT = pl.when(pl.col("event_type") == "purchase").then("product_id").otherwise(pl.lit(""))


def _set(value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_not_null()).then(pl.lit("set"))


# What Great Expectations sees: numbers as floats, because pandas has no whole numbers beside nulls.
_SHOWN: dict[str, pl.Expr] = {
    "event_id": pl.when(pl.col("event_id").is_not_null()).then(pl.col("event_id").hash().cast(pl.String)),
    "event_type": pl.col("event_type"),
    "event_time": _set(pl.col("event_time")),
    "event_date": pl.col("event_date").cast(pl.Datetime("us")),
    "days_apart": _DAYS_APART.cast(pl.Float64),
    "person_key": _set(_PERSON),
    "purchased_product_id": _set(_BOUGHT),
    "quantity": pl.col("quantity").cast(pl.Float64),
    "unit_price_micros": pl.col("unit_price_micros").cast(pl.Float64),
    "list_price_micros": pl.col("list_price_micros").cast(pl.Float64),
    "rating": pl.col("rating"),
}


def _is_set(name: str, column: str, value: pl.Expr, what: str) -> _Rule:
    return _Rule(name, column, what, value.is_null(), "ExpectColumnValuesToNotBeNull", {})


def _between(name: str, column: str, value: pl.Expr, what: str, **bounds: float) -> _Rule:
    low, high = bounds["min_value"], bounds.get("max_value", float("inf"))
    return _Rule(name, column, what, ~value.is_between(low, high), "ExpectColumnValuesToBeBetween", bounds)


def _rules(window: tuple[date, date]) -> list[_Rule]:
    first, last = window
    col, free = pl.col, "nobody is paid to take a product"
    return [
        _is_set("event_id_is_set", "event_id", col("event_id"), "every event can be named"),
        _Rule(
            "event_id_is_unique",
            "event_id",
            "an event is there once, however often it was delivered",
            col("event_id").is_duplicated() & col("event_id").is_not_null(),
            "ExpectColumnValuesToBeUnique",
            {},
        ),
        _is_set("event_type_is_set", "event_type", col("event_type"), "every event says what happened"),
        _Rule(
            "event_type_is_known",
            "event_type",
            "only types of the contract",
            ~col("event_type").is_in(EVENT_TYPES),
            "ExpectColumnValuesToBeInSet",
            {"value_set": list(EVENT_TYPES)},
        ),
        _is_set("event_time_is_set", "event_time", col("event_time"), "every event says when"),
        _is_set("event_date_is_set", "event_date", col("event_date"), "every event has its day"),
        _Rule(
            "event_date_in_window",
            "event_date",
            f"all days lie from {first} to {last}",
            ~col("event_date").is_between(first, last),
            "ExpectColumnValuesToBeBetween",
            {"min_value": datetime.combine(first, time()), "max_value": datetime.combine(last, time())},
        ),
        _between(
            "event_date_near_event_time",
            "days_apart",
            _DAYS_APART,
            "the shop's day is at most one off the day in UTC",
            min_value=-1,
            max_value=1,
        ),
        _is_set("person_is_set", "person_key", _PERSON, "a user or an anonymous visitor stands behind every event"),
        _is_set("purchase_has_product", "purchased_product_id", _BOUGHT, "every purchase names its product"),
        _Rule(
            "quantity_is_not_zero",
            "quantity",
            "a quantity counts something",
            col("quantity") == 0,
            "ExpectColumnValuesToNotBeInSet",
            {"value_set": [0]},
        ),
        _between("unit_price_not_negative", "unit_price_micros", col("unit_price_micros"), free, min_value=0),
        _between("list_price_not_negative", "list_price_micros", col("list_price_micros"), free, min_value=0),
        _between("rating_from_1_to_5", "rating", col("rating"), "reviews give 1 to 5 stars", min_value=1, max_value=5),
    ]


def validate_events(
    events: pl.DataFrame, docs_folder: Path, window: tuple[date, date], sample_rows: int = SAMPLE_ROWS
) -> list[Expectation]:
    """One verdict per rule over clean events of the days from ``window[0]`` to ``window[1]``.

    ``docs_folder`` is replaced by pages that start at ``index.html``. No rows at all is a warning and not an error:
    a shop may be closed for a day.

    Raises:
        TableError: the frame is not of `CLEAN_EVENTS`.
    """
    events = CLEAN_EVENTS.conform(events)
    rules = _rules(window)
    broken = events.select(rule.broken.fill_null(False).sum().alias(rule.name) for rule in rules).row(0, named=True)
    verdicts = [
        Expectation("has_rows", "", events.height > 0, "warn", f"{events.height:,} rows", "the shop sent something")
    ]
    for rule in rules:
        observed = f"{broken[rule.name]:,} of {events.height:,} rows break it"
        verdicts.append(Expectation(rule.name, rule.column, not broken[rule.name], "error", observed, rule.what))
    sample = _sample(events, [rule for rule in rules if broken[rule.name]], sample_rows)
    agreed = _draw(sample, rules, verdicts, docs_folder, window)
    wrong = [rule.name for rule in rules if agreed[rule.name] != (not broken[rule.name])]
    assert not wrong, f"Great Expectations and the exact counts differ on {', '.join(wrong)}"
    return verdicts


def _sample(events: pl.DataFrame, failing: Sequence[_Rule], rows: int) -> "pd.DataFrame":
    """Evenly spread rows, about ``rows``, and examples of every broken rule, as Great Expectations may see them."""
    every = max(1, -(-events.height // rows))
    chosen = [pl.int_range(pl.len()) % every == 0]
    for rule in failing:
        hit = rule.broken.fill_null(False)
        # Twins of an event may stand far apart: examples are taken in order of id, so that twins come together.
        order = (
            pl.col("event_id").rank("ordinal")
            if rule.kind == "ExpectColumnValuesToBeUnique"
            else pl.int_range(pl.len())
        )
        chosen.append(hit & (pl.when(hit).then(order).rank("ordinal") <= _EXAMPLES))
    return events.filter(pl.any_horizontal(chosen)).select(**_SHOWN).to_pandas()


def _draw(
    sample: "pd.DataFrame",
    rules: Sequence[_Rule],
    verdicts: Sequence[Expectation],
    docs_folder: Path,
    window: tuple[date, date],
) -> dict[str, bool]:
    """Runs the suite and replaces the pages; rule → verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the library are not ours to mend
        import great_expectations as gx
        from great_expectations import expectations as kinds
        from great_expectations.checkpoint import UpdateDataDocsAction
        from great_expectations.core.run_identifier import RunIdentifier
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        for name, unused in list(context.variables.data_docs_sites.items()):
            # Sometimes made with the context, in the temp folder.
            shutil.rmtree(unused["store_backend"]["base_directory"], ignore_errors=True)
            context.delete_data_docs_site(name)
        docs_folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=docs_folder.parent, prefix=".data_docs.") as beside:
            pages = Path(beside) / "pages"
            backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(pages)}
            index = {"class_name": "DefaultSiteIndexBuilder"}
            site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
            context.add_data_docs_site("pages", site | {"site_index_builder": index})
            suite = context.suites.add(gx.ExpectationSuite(CLEAN_EVENTS.name))
            exact = {verdict.name: verdict.observed for verdict in verdicts}
            for rule in rules:
                notes = f"{rule.what} ({exact[rule.name]})"
                make = getattr(kinds, rule.kind)
                suite.add_expectation(make(column=rule.column, notes=notes, meta={"rule": rule.name}, **rule.arguments))
            asset = context.data_sources.add_pandas("lake").add_dataframe_asset(CLEAN_EVENTS.name)
            definition = gx.ValidationDefinition(
                name=CLEAN_EVENTS.name, data=asset.add_batch_definition_whole_dataframe("days"), suite=suite
            )
            checkpoint = gx.Checkpoint(
                name=CLEAN_EVENTS.name,
                validation_definitions=[context.validation_definitions.add(definition)],
                actions=[UpdateDataDocsAction(name="pages")],
                result_format={"result_format": "BOOLEAN_ONLY"},  # no values, no rows
            )
            result = context.checkpoints.add(checkpoint).run(
                batch_parameters={"dataframe": sample}, run_id=RunIdentifier(run_name=f"{window[0]} to {window[1]}")
            )
            shutil.rmtree(docs_folder, ignore_errors=True)
            pages.replace(docs_folder)
    (ran,) = result.run_results.values()
    return {one.expectation_config.meta["rule"]: bool(one.success) for one in ran.results}
