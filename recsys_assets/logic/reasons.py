"""Why a product is on a list: true, counted, and recomputable from the interactions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic import reason_texts
from recsys_assets.tuning import Tuning

REASONS = ("bought_before", "similar_owned", "category_owned", "popular", "pinned", "taste")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def last_category(category: pl.Expr) -> pl.Expr:
    """Last part of a category path: ``Rye`` of ``Grocery > Bread > Rye``."""
    return category.str.split(">").list.last().str.strip_chars()


def popular_text(people: pl.Expr, days: int, text: str = reason_texts.POPULAR) -> pl.Expr:
    """``Bought by 123 customers in the last 30 days``, or looked at by so many (``reason_texts.LOOKED_AT``)."""
    span = "day" if days == 1 else f"{days} days"
    return pl.format(text, people, _plural(people, "customer"), pl.lit(span))


@dataclass(frozen=True)
class Facts:
    """What reasons count, per person and product: one entry each, all arrays of one length.

    ``days`` of the window on which the person bought it, the last one in ``month``; ``similar``: products the person
    bought that have it among their neighbours, as Level 1 counted; ``of_category``: products the person bought of its
    category path, which ``category`` numbers; ``buyers``: people who bought it lately; ``pinned`` by the shop.
    """

    days: npt.NDArray[np.int32]
    month: npt.NDArray[np.int8]
    similar: npt.NDArray[np.int64]
    of_category: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32]
    buyers: npt.NDArray[np.int64]
    pinned: npt.NDArray[np.bool_]


def reasons(facts: Facts, category: pl.Series, tuning: Tuning) -> list[pl.Series]:
    """``reason_code``, ``reason_count`` and ``reason``, one entry per fact: the first of these that holds.

    ``bought_before``, ``similar_owned``, ``category_owned``; ``popular`` from ``k_anonymity`` buyers up; ``pinned`` and
    ``taste``, which count nothing.

    Texts are made once per code, count and month or category, and handed out: a list of 200 products has few of its
    own, and formatting each took most of Level 2's time.

    Args:
        facts: what is counted.
        category: the category path of each entry.
        tuning: ``k_anonymity`` and ``recent_days`` are read.
    """
    holds = (facts.days > 0, facts.similar > 0, facts.of_category > 0, facts.buyers >= tuning.k_anonymity, facts.pinned)
    code = np.full(len(facts.days), len(REASONS) - 1)
    count, about = np.zeros_like(code), np.zeros_like(code)
    for place in reversed(range(len(holds))):  # the first that holds is written last
        code[holds[place]] = place
    counts: list[npt.NDArray[Any]] = [facts.days, facts.similar, facts.of_category, facts.buyers]
    for place, counted in enumerate(counts):
        count[code == place] = counted[code == place]
    about[code == 0], about[code == 2] = facts.month[code == 0], facts.category[code == 2]
    each = pl.DataFrame(
        {"_said": (code << 56) | (about << 28) | count, "_code": code, "_count": count, "_about": about}
    )
    texts = each.with_columns(category.alias("category")).unique("_said", maintain_order=True)
    said = each.select("_said").join(texts.select("_said", _text(tuning)), on="_said", maintain_order="left")
    names = pl.Series("reason_code", REASONS)
    return [
        names.gather(code),
        each.select(pl.when(pl.col("_code") < len(counts)).then("_count").alias("reason_count")).to_series(),
        said["reason"],
    ]


def _text(tuning: Tuning) -> pl.Expr:
    code, count = pl.col("_code"), pl.col("_count")
    month = pl.col("_about").replace_strict(dict(enumerate(_MONTHS, 1)), default="", return_dtype=pl.String)
    texts = (
        pl.when(count == 1).then(pl.format(reason_texts.BOUGHT_ONCE, month))
        .otherwise(pl.format(reason_texts.BOUGHT_AGAIN, count, month)),
        pl.format(reason_texts.SIMILAR_OWNED, count, _plural(count, "item")),
        pl.format(reason_texts.CATEGORY_OWNED, count, _plural(count, "product"), last_category(pl.col("category"))),
        popular_text(count, tuning.recent_days),
        pl.lit(reason_texts.PINNED),
        pl.lit(reason_texts.TASTE),
    )  # fmt: skip
    return pl.coalesce(*(pl.when(code == place).then(text) for place, text in enumerate(texts))).alias("reason")


def _plural(count: pl.Expr, word: str) -> pl.Expr:
    return pl.when(count == 1).then(pl.lit(word)).otherwise(pl.lit(word + "s"))
