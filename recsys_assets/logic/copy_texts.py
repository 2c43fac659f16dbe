"""Which texts a day needs, which it has, and what stands in: the table COPY.

Texts are kept in WRITTEN_COPY under the hash of the product's facts and a `TextKey`. One that was accepted serves until
the facts change, and is held against today's rules again: a claim that was forbidden since refuses it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from recsys_assets.logic.copy_facts import Facts, Intent, Language, Text, TextKey, Trigger
from recsys_assets.logic.copy_prompts import text_id
from recsys_assets.logic.copy_templates import template
from recsys_assets.logic.copywriting import is_discounted
from recsys_assets.tables import COPY
from recsys_assets.tuning import Copywriting

ACCEPTED, PENDING = "accepted", "pending"
NEED = ("product_id", "intent", "trigger", "reason_kind", "language")
Refusals = Callable[[Text, Facts, TextKey], list[str]]


@dataclass(frozen=True)
class Missing:
    """A text that nobody has written yet, and how many people it would be shown to."""

    id: str
    facts: Facts
    key: TextKey
    people: int


@dataclass(frozen=True)
class DayOfCopy:
    """The words of a day.

    ``copy`` is table COPY; ``missing`` what is still to be asked for, most wanted first; ``waiting`` counts texts that
    the endpoint has taken and not answered yet, ``given_up`` those that were refused too often, ``outlived`` those that
    rules refuse which are newer than they are.
    """

    copy: pl.DataFrame
    missing: list[Missing]
    waiting: int = 0
    given_up: int = 0
    outlived: int = 0


def needed(plans: pl.DataFrame) -> pl.DataFrame:
    """One row per product, intent, trigger, reason kind and language in which it is offered: ``_people``; ordered.

    Args:
        plans: table PLANS.
    """
    return (
        plans.select("trigger", "language", "product_ids", "reason_codes", "offer_intents")
        .explode("product_ids", "reason_codes", "offer_intents")
        .rename({"product_ids": "product_id", "reason_codes": "reason_kind", "offer_intents": "intent"})
        .filter(pl.col("product_id").is_not_null())
        .group_by(NEED)
        .agg(pl.len().alias("_people"))
        .sort("_people", *NEED, descending=[True, *(False for _ in NEED)])
    )


def words_for(intent: pl.Expr, purchased: pl.Expr | pl.Series) -> pl.Expr:
    """The intent that the words beside a product may speak of: "again" of what the person has bought, of nothing else.

    >>> said = words_for(pl.lit("replenish"), pl.Series([True, False, None]))
    >>> pl.select(said).to_series().to_list()
    ['replenish', 'explore', 'explore']
    """
    untrue = (intent == "replenish") & ~purchased.fill_null(False)
    return pl.when(untrue).then(pl.lit("explore")).otherwise(intent)


def facts_of(product: Mapping[str, Any]) -> Facts:
    """What a text may be written from, of a row of CATALOG; a product without a name is called by its id."""
    price, before = product["unit_price_micros"], product["list_price_micros"]
    return Facts(
        product["product_id"],
        product["name"] or product["product_id"],
        product["category"],
        product["brand"],
        product.get("description"),
        tuple(product.get("tags") or ()),
        product.get("attributes"),
        is_discounted(price, before),
    )


def day_of_copy(
    need: pl.DataFrame,
    catalog: pl.DataFrame,
    written: pl.DataFrame,
    refusals: Refusals,
    knobs: Copywriting,
    prompt_version: str,
) -> DayOfCopy:
    """The words of a day: what was written and still holds, else a template.

    Args:
        need: `needed`.
        catalog: table CATALOG of the day.
        written: table WRITTEN_COPY, of all days.
        refusals: why a text may not be shown; none where it may.
        knobs: ``tone`` and ``attempts`` are read.
        prompt_version: of today's prompt; texts of another one are written anew.
    """
    wanted = set(need["product_id"])
    products = {row["product_id"]: facts_of(row) for row in _rows_of(catalog, wanted)}
    kept, tries, pending = _kept(written)
    rows, missing, outlived, waiting, given_up = [], dict[str, Missing](), set[str](), set[str](), set[str]()
    for row in need.filter(pl.col("product_id").is_in(list(products))).iter_rows(named=True):
        facts, language = products[row["product_id"]], cast(Language, row["language"])
        intent, trigger = cast(Intent, row["intent"]), cast(Trigger, row["trigger"])
        key = TextKey(intent, row["reason_kind"], knobs.tone, language, prompt_version)
        name = text_id(facts, key)
        text, model = kept.get(name, (None, None))
        if text is not None and name not in outlived and refusals(text, facts, key):
            outlived.add(name)
        if name in outlived:
            text = None
        if text is None and name in pending:
            waiting.add(name)
        elif text is None and tries.get(name, 0) >= knobs.attempts:
            given_up.add(name)
        elif text is None:
            before = missing.get(name)
            missing[name] = Missing(name, facts, key, row["_people"] + (before.people if before else 0))
        words = text or template(language, intent, trigger, discounted=facts.discounted)
        rows.append(
            {name: row[name] for name in NEED}
            | words.parts()
            | {
                "source": "model" if text else "template", "facts_hash": facts.hash(), "tone": knobs.tone,
                "prompt_version": prompt_version, "model": model if text else None,
            }
        )  # fmt: skip
    copy = COPY.conform(pl.DataFrame(rows, schema=COPY.columns).sort(NEED))
    wanted_most = sorted(missing.values(), key=lambda one: (-one.people, one.id))
    return DayOfCopy(copy, wanted_most, len(waiting), len(given_up), len(outlived))


def _kept(written: pl.DataFrame) -> tuple[dict[str, tuple[Text, str]], dict[str, int], set[str]]:
    """By the text's id: the newest accepted one and its model; how often it was asked for in vain; what is pending.

    What the endpoint failed at is no try of the text: it is asked for again.
    """
    kept, tries, pending = dict[str, tuple[Text, str]](), dict[str, int](), set[str]()
    for row in written.sort("written_at").iter_rows(named=True):
        if row["outcome"] == ACCEPTED:
            kept[row["text_id"]] = (Text.of(row), row["model"])
        elif row["outcome"] == PENDING:
            pending.add(row["text_id"])
        elif row["outcome"] in ("refused", "refused_by_model", "unreadable"):
            tries[row["text_id"]] = tries.get(row["text_id"], 0) + 1
    return kept, tries, pending


def _rows_of(catalog: pl.DataFrame, wanted: set[str]) -> list[dict[str, Any]]:
    return catalog.filter(pl.col("product_id").is_in(list(wanted))).to_dicts()
