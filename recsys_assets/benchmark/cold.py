"""Products that nobody took before the cut-off: what the catalogue says of them against how their categories sell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recsys_assets.benchmark.history import History
from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.metrics import PerPerson, per_person
from recsys_assets.logic.popular import of_category
from recsys_assets.logic.split import Window
from recsys_assets.models import make_blend
from recsys_assets.models.base import Floats, Recommender
from recsys_assets.models.holdout import Holdout, held_out, past
from recsys_assets.models.popularity import Popularity
from recsys_assets.models.top import block_size, top
from recsys_assets.tuning import Blending, Tuning

DEPTHS = (1, 2, 3, 99)  # parts of a category's path that popularity is taken of; 99: all of them
METRICS = ("ndcg", "hit_rate")


@dataclass(frozen=True)
class Cold:
    """Figures on products first sold after the cut-off, by model; ``gain`` is content's over the best category's."""

    products: int
    people: int
    figures: dict[str, dict[str, float]]
    baseline: str
    gain: dict[str, tuple[float, float, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        return {
            "products": self.products,
            "people": self.people,
            "figures": {
                model: {name: round(value, 6) for name, value in own.items()} for model, own in self.figures.items()
            },
            "baseline": self.baseline,
            "gain": {name: [round(value, 6) for value in gain] for name, gain in self.gain.items()},
        }

    def lines(self) -> list[str]:
        """The same for people."""
        told = [f"products first sold after the cut-off: {self.products:,}, bought by {self.people:,} people"]
        told += [
            f"  {model:<24}" + "".join(f"  {name} {value:.4f}" for name, value in own.items())
            for model, own in self.figures.items()
        ]
        return told + [
            f"  content over {self.baseline}: {name} {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            for name, (mean, low, high) in self.gain.items()
        ]


def cold(history: History, events: pl.DataFrame, window: Window, k: int, tuning: Tuning) -> Cold | None:
    """Content on what was first sold in the window, or None where there is no catalogue, or no such sale.

    Ranked are the products first sold in the window: what will be put on sale is known to a shop, how it sells is not.
    Their facts are what a catalogue says at any time, without prices. People had bought before. The baseline gives
    each product the mean popularity of the known ones of its category, at the depth of the path that does best here:
    the strongest of its kind, chosen in its own favour.
    """
    described = history.descriptions()
    before, later = past(events, window, tuning), window.purchases(events)
    seen = before.interactions.select("product_id").unique()
    first_sold = later.join(seen, on="product_id", how="anti").join(described, on="product_id", how="semi")
    first_sold = first_sold.join(before.interactions.select("person_key").unique(), on="person_key", how="semi")
    if first_sold.is_empty() or described["category"].null_count() == described.height:
        return None
    asked = tuning.model_copy(update={"blend": Blending()})  # whose members hold content, so that facts are looked at
    held = held_out(before, first_sold, window.cutoff, sorted(set(first_sold["product_id"])), asked, described)
    assert held is not None, "people and products are there"
    content = make_blend(asked, every=True).models["content"]
    content.fit(held.train)
    popular = Popularity(purchase_weight=tuning.event_weights.purchase)
    popular.fit(held.train)
    sold = popular.arrays()["scores"].astype(np.float64)
    made: dict[str, dict[str, PerPerson]] = {"content": _figures(held, k, content)}
    for depth in DEPTHS:
        scores = of_category(sold, held.train.product_ids.tolist(), described, depth)
        name = f"category ({'whole path' if depth == DEPTHS[-1] else f'top {depth}'})"
        made[name] = _figures(held, k, scores.astype(np.float32))
    baseline = max(list(made)[1:], key=lambda name: float(made[name]["ndcg"].mean()))
    gain = {}
    for metric in METRICS:
        difference = made["content"][metric] - made[baseline][metric]
        low, high = interval(resampled_means(difference[:, None], tuning.evaluation.bootstrap, tuning.seed))
        gain[f"{metric}@{k}"] = (float(difference.mean()), float(low[0]), float(high[0]))
    means = {model: {f"{metric}@{k}": float(own[metric].mean()) for metric in METRICS} for model, own in made.items()}
    return Cold(int(held.listable.sum()), len(held.history.person_keys), means, baseline, gain)


def _figures(held: Holdout, k: int, scored: Recommender | Floats) -> dict[str, PerPerson]:
    """Per person; ``scored`` is a model, or the same scores for everybody."""
    people = len(held.history.person_keys)
    hits = np.zeros((people, k), dtype=np.bool_)
    size = block_size(len(held.listable))
    for start in range(0, people, size):
        history = held.history.rows(start, start + size)
        if isinstance(scored, np.ndarray):
            scores = np.repeat(scored[None, :], len(history.person_keys), axis=0)
        else:
            scores = scored.scores(history)
        scores[:, ~held.listable] = 0
        picks = top(scores, k)
        truth = held.bought[start : start + size].toarray()
        hits[start + picks.rows, picks.ranks()] = truth[picks.rows, picks.columns]
    return {metric: per_person(metric, hits, held.relevant["new"], k) for metric in METRICS}
