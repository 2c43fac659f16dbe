"""Level 2: from candidates to the published row and the served list."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.choices import Choices, Curve
from recsys_assets.logic.placing import Goods, Limits, placed
from recsys_assets.logic.price_tiers import TIERS
from recsys_assets.logic.reasons import Facts, reasons
from recsys_assets.logic.rules import DROPPED, SEGMENTS, Pairs, effects, waits
from recsys_assets.logic.shelves import NONE, Shelf, Shoppers
from recsys_assets.sources import PINNED
from recsys_assets.tables import CANDIDATES, LISTS, OWNED, RULE_EFFECTS
from recsys_assets.tuning import Tuning

PEOPLE_AT_ONCE = 2_000


@dataclass(frozen=True)
class Ranked:
    """Tables LISTS, by person and rank, and RULE_EFFECTS, by person, of some people."""

    lists: pl.DataFrame
    effects: pl.DataFrame


class Ranking:
    """Level 2 of one day: prepared once, then asked for any people, in any pieces; the pieces change nothing.

    ``rank`` numbers a person's products in final order; ``position`` numbers the served list from 1. What the rules
    are, and in which order they act, say ``rules.effects`` and ``placing.placed``. ``score`` is the candidate's score
    times the rules' factors, rounded to 6 decimals; ties go to the lower product id.

    ``model_source`` is ``pinned`` where the shop put the product there, else Level 1's: other rules move, and bring
    nothing.

    ``confidence`` is read off the validation window's curve at Level 1's score, which is what was compared with hits.

    Args:
        catalog: table CATALOG; products that are not in it, or not recommendable, are left out.
        item_stats: table ITEM_STATS of the same day.
        interactions: table INTERACTIONS of the same day, at least of the people who will be asked for.
        profiles: table USER_PROFILES of the same day; who has none is left alone by rules that ask for it.
        cycles: table REPURCHASE_CYCLES of the same day.
        as_of: the day.
        choices: what validation chose; its calibration gives ``confidence``.
        tuning: the knobs of the rules, ``served_*``, ``k_anonymity`` and ``recent_days`` are read.
    """

    def __init__(
        self,
        catalog: pl.DataFrame,
        item_stats: pl.DataFrame,
        interactions: pl.DataFrame,
        profiles: pl.DataFrame,
        cycles: pl.DataFrame,
        *,
        as_of: date,
        choices: Choices,
        tuning: Tuning,
    ) -> None:
        self.choices, self.tuning = choices, tuning
        self.shelf = Shelf.of(catalog, item_stats, cycles, tuning)
        self.shoppers = Shoppers.of(interactions, profiles, self.shelf, SEGMENTS, as_of)
        shelf, diversity = self.shelf, tuning.diversity
        self._goods = Goods(shelf.pin, shelf.variant, shelf.category, shelf.top_category, shelf.brand)
        self._limits = Limits(
            tuning.variants_at_most, diversity.strength, diversity.category_cap, diversity.brand_cap,
            tuning.served_list_size, tuning.served_new_at_least,
        )  # fmt: skip
        self._places = shelf.products.select("product_id").with_row_index("_product")

    def rank(self, candidates: pl.DataFrame, threads: int = 0) -> Ranked:
        """Lists of the people of ``candidates``: table CANDIDATES, whole people, rows in any order.

        Pieces are made side by side by so many ``threads`` (0: as many as polars has), which never changes a result.
        """
        with ThreadPoolExecutor(threads or pl.thread_pool_size()) as workers:
            made = list(workers.map(self._rank, _pieces(candidates)))
        return Ranked(
            pl.concat([LISTS.empty(), *(one.lists for one in made)]),
            pl.concat([RULE_EFFECTS.empty(), *(one.effects for one in made)]),
        )

    def owned(self) -> pl.DataFrame:
        """Table OWNED of everybody: what whoever adds products to a list has to know of the person.

        Withheld is everything where repeats are not allowed, else what waits for its cycle and is not pinned. Who owns
        nothing and is offered every tier has no row.
        """
        own, shelf, tuning = self.shoppers, self.shelf, self.tuning
        held = np.full(len(own.product), not self.choices.repeats_allowed)
        if tuning.repurchase_cycle.enabled:
            free = shelf.pin[own.product] >= 0
            held |= ~free & waits(own.since, shelf.cycle_days[own.product], tuning)
        rows = np.repeat(np.arange(own.rows.height), np.diff(own.indptr))
        order = np.lexsort((own.product, ~held, rows))
        bought = (
            pl.DataFrame({"_row": rows[order], "_held": held[order]})
            .with_columns(shelf.products["product_id"].gather(own.product[order]))
            .group_by("_row", maintain_order=True)
            .agg(pl.col("product_id").alias("owned"), pl.col("_held").sum().cast(pl.Int64).alias("withheld"))
        )
        offered = {NONE: TIERS} | {place: getattr(tuning.segment_filter, name) for place, name in enumerate(SEGMENTS)}
        few = {
            place: list(tiers) if tuning.segment_filter.enabled and set(tiers) != set(TIERS) else None
            for place, tiers in offered.items()
        }
        tiers = [few[segment] for segment in own.segment.tolist()]
        return OWNED.conform(
            own.rows.with_columns(pl.Series("tiers", tiers, dtype=OWNED.columns["tiers"]))
            .join(bought, on="_row", how="left", maintain_order="left")
            .filter(pl.col("owned").is_not_null() | pl.col("tiers").is_not_null())
            .with_columns(pl.col("owned").fill_null([]), pl.col("withheld").fill_null(0))
        )

    def _rank(self, candidates: pl.DataFrame) -> Ranked:
        shelf, tuning = self.shelf, self.tuning
        pool = candidates.join(self._places, on="product_id", maintain_order="left")
        if len(shelf.pinned):
            pool = self._with_pins(pool)
        runs = pool["person_key"].rle()
        indptr = np.concatenate([[0], np.cumsum(runs.struct.field("len").to_numpy())]).astype(np.int64)
        people = runs.struct.field("value").to_frame("person_key")
        person = (
            people.join(self.shoppers.rows, on="person_key", how="left", maintain_order="left")["_row"].fill_null(NONE)
        ).to_numpy()
        product = pool["_product"].cast(pl.Int32).to_numpy()
        pairs = Pairs.of(indptr, person, product, shelf, self.shoppers)
        done = effects(pairs, shelf, self.shoppers, tuning)
        base = pool["score"].to_numpy().astype(np.float64)
        score = np.round(base * done.price_factor * done.upsell_factor, 6)
        dropped = done.dropped.copy()
        order, by_score, rank, position = placed(
            indptr, product, score, pool["purchased"].to_numpy(), dropped, self._goods, self._limits
        )

        chosen, goods = pool[order], shelf.products[product[order]]
        said = reasons(
            Facts(
                days=pairs.days[order],
                month=pairs.month[order],
                similar=pool["similar_owned"].to_numpy()[order],
                of_category=pairs.of_category[order],
                category=shelf.category[product[order]],
                buyers=shelf.buyers[product[order]],
                pinned=shelf.pin[product[order]] >= 0,
            ),
            goods["category"],
            tuning,
        )
        lists = chosen.with_columns(
            pl.Series("rank", rank[order], dtype=pl.Int64),
            pl.Series("score", score[order], dtype=pl.Float32),
            self._confidence(base[order], chosen["purchased"].to_numpy()),
            goods["price_micros"],
            goods["category"],
            *said,
            pl.Series("position", position[order], dtype=pl.Int64).replace(0, None),
            pl.when(pl.Series(shelf.pin[product[order]] >= 0))
            .then(pl.lit(PINNED))
            .otherwise("model_source")
            .alias("model_source"),
        )
        touched = (done.price_factor != 1) | (done.upsell_factor != 1) | (dropped > 0) | (by_score != rank)
        where = np.flatnonzero(touched)
        left = pool.select("person_key", "product_id")[where].with_columns(
            pl.Series("score_place", by_score[where], dtype=pl.Int64).replace(0, None),
            pl.Series("price_factor", done.price_factor[where], dtype=pl.Float32),
            pl.Series("upsell_factor", done.upsell_factor[where], dtype=pl.Float32),
            pl.Series("dropped_by", dropped[where]).replace_strict(
                range(len(DROPPED)), DROPPED, return_dtype=pl.String
            ),
        )
        return Ranked(LISTS.conform(lists), RULE_EFFECTS.conform(left))

    def _with_pins(self, pool: pl.DataFrame) -> pl.DataFrame:
        """Pinned products that Level 1 did not put forward, at score 0; bought ones only where repeats are allowed."""
        pins = pl.DataFrame({"_product": self.shelf.pinned}, schema={"_product": pl.UInt32}).with_columns(
            self.shelf.products["product_id"].gather(self.shelf.pinned)
        )
        added = (
            pool.select("person_key").unique(maintain_order=True).join(pins, how="cross")
            .join(pool.select("person_key", "product_id"), on=["person_key", "product_id"], how="anti",
                  maintain_order="left")
        )  # fmt: skip
        bought = self._bought_before(added)
        if not self.choices.repeats_allowed:
            added, bought = added.filter(~bought), bought.filter(~bought)
        empty = [pl.lit(0, dtype=dtype).alias(name) for name, dtype in CANDIDATES.columns.items() if dtype.is_numeric()]
        source = pl.lit(PINNED).alias("model_source")
        more = added.with_columns(*empty, bought.alias("purchased"), source).select(pool.columns)
        return pl.concat([pool, more]).sort("person_key", maintain_order=True)

    def _bought_before(self, added: pl.DataFrame) -> pl.Series:
        own = self.shoppers
        people = own.rows.select("person_key")[np.repeat(np.arange(own.rows.height), np.diff(own.indptr))]
        bought = people.with_columns(pl.Series("_product", own.product).cast(pl.UInt32), _bought=True)
        return added.join(bought, on=["person_key", "_product"], how="left", maintain_order="left")[
            "_bought"
        ].fill_null(False)

    def _confidence(self, scores: npt.NDArray[np.float64], purchased: npt.NDArray[np.bool_]) -> pl.Series:
        found = np.where(
            purchased,
            _on_curve(scores, self.choices.repeat_calibration),
            _on_curve(scores, self.choices.new_calibration),
        )
        found[scores == 0] = np.nan  # pinned, and unknown to Level 1
        return pl.Series("confidence", np.round(found, 6), dtype=pl.Float32, nan_to_null=True)


def emptied(candidates: pl.DataFrame, lists: pl.DataFrame, rule_effects: pl.DataFrame) -> list[str]:
    """Keys of the people without a row in ``lists`` of whom rules took out every candidate, sorted."""
    out = rule_effects.filter(pl.col("dropped_by").is_not_null())
    left = candidates.join(out, on=["person_key", "product_id"], how="anti")
    none = candidates.join(left, on="person_key", how="anti").join(lists, on="person_key", how="anti")
    return none["person_key"].unique().sort().to_list()


def _pieces(candidates: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole people, so many at once that the memory of what is computed on the way is bounded."""
    ordered = candidates if candidates["person_key"].is_sorted() else candidates.sort("person_key", maintain_order=True)
    starts = np.append(
        np.flatnonzero(
            ordered.select(_start=~(pl.col("person_key") == pl.col("person_key").shift()).fill_null(False))[
                "_start"
            ].to_numpy()
        ),
        ordered.height,
    )
    for first in range(0, len(starts) - 1, PEOPLE_AT_ONCE):
        start, stop = starts[first], starts[min(first + PEOPLE_AT_ONCE, len(starts) - 1)]
        yield ordered.slice(start, stop - start)


def _on_curve(scores: np.ndarray[Any, np.dtype[np.float64]], curve: Curve) -> np.ndarray[Any, np.dtype[np.float64]]:
    xs, ys = curve
    return np.interp(scores, xs, ys) if xs else np.full(len(scores), np.nan)
