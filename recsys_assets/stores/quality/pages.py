"""Great Expectations over a sample, and the pages: a site per suite below one index, all static and relative."""

import json
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys_assets.scratch import scratch, write_private
from recsys_assets.stores.quality.rules import Expectation, Rule, Suite

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = 1000  # rows of each broken rule that the sample holds at least
_SUMMARY = "summary.json"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;"
    "border-bottom:1px solid #ddd}.failed{color:#a40000;font-weight:600}.warning{color:#8a5a00;font-weight:600}"
)


def publish(
    suite: Suite, verdicts: Sequence[Expectation], about: str, docs_folder: Path, sample: "pd.DataFrame | None"
) -> dict[str, bool]:
    """Replaces the suite's pages and the index; what Great Expectations says of each rule of the sample.

    Without a sample (a suite without rules for rows) there are no pages of the suite beside the index.
    """
    docs_folder.mkdir(parents=True, exist_ok=True)
    with scratch(docs_folder.parent) as beside:
        made = beside / "site"
        made.mkdir()
        agreed = {} if sample is None else _draw(suite, sample, verdicts, made, about)
        told = {"what": suite.what, "about": about, "verdicts": [asdict(verdict) for verdict in verdicts]}
        (made / _SUMMARY).write_text(json.dumps(told))
        # Two renames: a reader misses the site for the moment between them, and never sees half of one.
        site = docs_folder / suite.table
        if site.exists():
            site.rename(beside / "old")
        made.rename(site)
    _index(docs_folder)
    return agreed


def sample_of(frame: pl.DataFrame, suite: Suite, failing: Sequence[Rule], rows: int) -> "pd.DataFrame":
    """Evenly spread rows, about ``rows``, and examples of every broken rule, as Great Expectations may see them."""
    every = max(1, -(-frame.height // rows))
    chosen = [pl.int_range(pl.len()) % every == 0]
    for rule in failing:
        hit = rule.broken.fill_null(False)
        # Twins may stand far apart: examples are taken in the suite's order, so that twins come together.
        order = pl.struct(suite.order).rank("ordinal") if suite.order else pl.int_range(pl.len())
        chosen.append(hit & (pl.when(hit).then(order).rank("ordinal") <= _EXAMPLES))
    # Values first: a value may look at the row before, which the sample may lack.
    return (
        frame.select(pl.any_horizontal(chosen).alias("_chosen"), **{rule.column: rule.value for rule in suite.rules})
        .filter("_chosen")
        .drop("_chosen")
        .to_pandas()
    )


def _draw(
    suite: Suite, sample: "pd.DataFrame", verdicts: Sequence[Expectation], folder: Path, about: str
) -> dict[str, bool]:
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
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
        index = {"class_name": "DefaultSiteIndexBuilder"}
        site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
        context.add_data_docs_site("pages", site | {"site_index_builder": index})
        made = context.suites.add(gx.ExpectationSuite(suite.table))
        exact = {verdict.name: verdict.observed for verdict in verdicts}
        for rule in suite.rules:
            notes = f"{rule.what} ({exact[rule.name]})"
            make = getattr(kinds, rule.kind)
            made.add_expectation(make(column=rule.column, notes=notes, meta={"rule": rule.name}, **rule.arguments))
        asset = context.data_sources.add_pandas("lake").add_dataframe_asset(suite.table)
        definition = gx.ValidationDefinition(
            name=suite.table, data=asset.add_batch_definition_whole_dataframe("days"), suite=made
        )
        checkpoint = gx.Checkpoint(
            name=suite.table,
            validation_definitions=[context.validation_definitions.add(definition)],
            actions=[UpdateDataDocsAction(name="pages")],
            result_format={"result_format": "BOOLEAN_ONLY"},  # no values, no rows
        )
        result = context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": sample}, run_id=RunIdentifier(run_name=about)
        )
    (ran,) = result.run_results.values()
    return {one.expectation_config.meta["rule"]: bool(one.success) for one in ran.results}


def _text(said: str) -> str:
    """HTML of a sentence with `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(said))


def _index(docs_folder: Path) -> None:
    """One page with every suite's verdicts and a link to its site."""
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>Data Docs</title>", f"<style>{_STYLE}</style>"]
    parts.append("<h1>Data Docs</h1><p>Every table's rules and what the last run found. Counts are over all rows.</p>")
    for summary in sorted(docs_folder.glob(f"*/{_SUMMARY}")):
        name, told = summary.parent.name, json.loads(summary.read_text())
        verdicts = [Expectation(**verdict) for verdict in told["verdicts"]]
        failed = sum(not verdict.ok for verdict in verdicts)
        parts.append(
            f"<h2 id='{escape(name)}'>{escape(name)}</h2><p>{_text(told['what'])}</p><p>{escape(told['about'])}: "
        )
        parts.append(f"{len(verdicts) - failed} of {len(verdicts)} rules hold.")
        if (summary.parent / "index.html").exists():
            parts.append(f" <a href='{escape(name)}/index.html'>Great Expectations' pages</a>")
        parts.append("</p><table><tr><th>verdict</th><th>rule</th><th>found</th></tr>")
        for verdict in sorted(verdicts, key=lambda one: (one.ok, one.severity)):
            word = "holds" if verdict.ok else {"error": "failed", "warn": "warning"}[verdict.severity]
            cells = f"<td class={word}>{word}</td><td>{_text(verdict.what)}</td><td>{escape(verdict.observed)}</td>"
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</table>")
    write_private(docs_folder / "index.html", "\n".join(parts) + "\n", docs_folder.parent)
