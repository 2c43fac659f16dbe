"""A table against its suite: exact verdicts, and pages that say the same.

The verdicts are exact: polars counts the rows that break each rule over the whole frame. Great Expectations then
judges a sample that holds rows of every broken rule, so that its pages say the same. It never sees a key: columns of
people reach it as "set" or nothing, and its results carry no values.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recsys_assets.stores.quality.pages import publish, sample_of
from recsys_assets.stores.quality.rules import Expectation, Severity, Suite

SAMPLE_ROWS = 20_000


def verdicts_of(frame: pl.DataFrame, suite: Suite) -> list[Expectation]:
    """One verdict per rule, those of the whole table first; ``frame`` has the columns that the suite asks for."""
    broken = frame.select(rule.broken.fill_null(False).sum().alias(rule.name) for rule in suite.rules)
    verdicts = []
    for whole in suite.wholes:
        ok, observed = frame.select(_ok=whole.ok.fill_null(True), _observed=whole.observed).row(0)
        verdicts.append(Expectation(whole.name, "", ok, whole.severity, observed, whole.what))
    for rule in suite.rules:
        count = broken[rule.name].item()
        observed = f"{count:,} of {frame.height:,} rows break it"
        verdicts.append(Expectation(rule.name, rule.column, not count, rule.severity, observed, rule.what))
    return verdicts


def validate(
    frame: pl.DataFrame, suite: Suite, docs_folder: Path, about: str, sample_rows: int = SAMPLE_ROWS
) -> list[Expectation]:
    """`verdicts_of` the table; its pages in ``docs_folder`` are replaced, those of other suites stay.

    Args:
        frame: the table, with the columns that the suite asks for.
        suite: its rules.
        docs_folder: holds ``index.html`` over all suites, and a site for each.
        about: the days, as the pages name them.
        sample_rows: about so many rows are shown to Great Expectations.
    """
    verdicts = verdicts_of(frame, suite)
    ok = {verdict.name: verdict.ok for verdict in verdicts}
    sample = sample_of(frame, suite, [rule for rule in suite.rules if not ok[rule.name]], sample_rows)
    agreed = publish(suite, verdicts, about, docs_folder, sample)
    wrong = [rule.name for rule in suite.rules if agreed[rule.name] != ok[rule.name]]
    assert not wrong, f"Great Expectations and the exact counts differ on {', '.join(wrong)}"
    return verdicts


def severity_of(verdicts: Sequence[Expectation]) -> Severity | None:
    """The worst of what failed; None where all hold."""
    failed = {verdict.severity for verdict in verdicts if not verdict.ok}
    return "error" if "error" in failed else "warn" if failed else None


def record(name: str, what: str, verdicts: Sequence[Expectation], docs_folder: Path, about: str) -> None:
    """Puts verdicts that another judge has given on the index, beside the suites."""
    publish(Suite(name, what, ()), verdicts, about, docs_folder, None)
