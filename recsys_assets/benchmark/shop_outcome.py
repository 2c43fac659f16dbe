"""What the history of a shop says of its models: figures by target, paired gains, and how much people gain early on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from recsys_assets.benchmark.outcome import Outcome
from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.metrics import PerPerson, per_person
from recsys_assets.models.holdout import TARGETS, Holdout, Lists
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.tuning import Tuning

METRICS = {"ndcg": "ndcg", "recall": "recall", "hr": "hit_rate"}  # name in the outcome → name in logic.metrics
KINDS = ("blend", "weights", "learned", "published")
BASELINES = ("popularity", "personal", "blend")
BEST = "best member"
_SHOWN = {"all": "all products", "new": "new products", "repeat": "products bought before"}

Figures = dict[str, dict[str, dict[str, float]]]  # target → model → metric


@dataclass(frozen=True)
class ShopOutcome(Outcome):
    """`Outcome` with tables beside it.

    Attributes:
        figures: by target and model, on the test.
        gains: of the measured model over baselines, per target: mean difference and its 95 % interval, paired.
        slices: what is published gains over popularity by how much is known of people.
        more: further tables as JSON values.
        told: their lines for people.
    """

    figures: Figures = field(default_factory=dict)
    gains: tuple[dict[str, Any], ...] = ()
    slices: tuple[dict[str, Any], ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `Outcome`, and the tables."""
        tables = {"figures": self.figures, "gains": list(self.gains), "slices": list(self.slices), **self.more}
        return {**super().to_json(), **rounded(tables)}

    def lines(self) -> list[str]:
        """As `Outcome`, with the tables before its last two lines."""
        *head, test, last = super().lines()
        return [*head, *self._figure_lines(), *self._gain_lines(), *self._slice_lines(), *self.told, test, last]

    def _figure_lines(self) -> list[str]:
        told = []
        for target, by_model in self.figures.items():
            names = list(next(iter(by_model.values())))
            told += ["", f"test, {_SHOWN[target]:<22}" + "".join(f"{name:>12}" for name in names)]
            told += [
                f"  {model:<26}" + "".join(f"{own[name]:>12.4f}" for name in names) for model, own in by_model.items()
            ]
        return told

    def _gain_lines(self) -> list[str]:
        told = ["", "gain, paired, with a 95 % interval over people"] if self.gains else []
        for gain in self.gains:
            against = gain["baseline"] + (f" ({gain['best']})" if "best" in gain else "")
            said = f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]{_verdict(gain)}"
            told.append(f"  {gain['target']:<7} {gain['metric']} of {gain['model']} over {against}: {said}")
        return told

    def _slice_lines(self) -> list[str]:
        told = ["", "what is published, by how much is known of people"] if self.slices else []
        for row in self.slices:
            told.append(
                f"  {row['slice']} {row['group']:<5} {row['people']:>6,} people: {row['metric']} {row['value']:.4f}, "
                f"{row['gain']:+.4f} [{row['gain_low']:+.4f}, {row['gain_high']:+.4f}] over popularity"
            )
        return told


def _verdict(gain: dict[str, Any]) -> str:
    return ", worse" if gain["high"] < 0 else ", better" if gain["low"] > 0 else ", no worse"


def figures_of(lists: Lists, held: Holdout, k: int) -> Figures:
    """Means over the people who took something of the target; targets that nobody took are left out."""
    made: Figures = {}
    for target in TARGETS:
        if (held.relevant[target] > 0).any():
            made[target] = {
                model: {
                    f"{name}@{k}": float(_values(lists, held, model, target, metric, k).mean())
                    for name, metric in METRICS.items()
                }
                for model in models_of(lists)
            }
    return made


def models_of(lists: Lists) -> list[str]:
    """The floor, members, blends and the ceiling, in that order."""
    there = {model for model, _ in lists}
    return [name for name in ("random", *MEMBER_MODELS, *KINDS, "ceiling") if name in there]


def gains_of(lists: Lists, held: Holdout, model: str, k: int, tuning: Tuning) -> list[dict[str, Any]]:
    """NDCG of ``model`` less that of each baseline, and of the best member: the best by the same people's figures."""
    members = [name for name in models_of(lists) if name in MEMBER_MODELS]
    made = []
    for target in TARGETS:
        if not (held.relevant[target] > 0).any():
            continue
        values = {name: _values(lists, held, name, target, "ndcg", k) for name in {model, *members, *BASELINES}}
        best = max(members, key=lambda name: (round(float(values[name].mean()), 9), name))
        for baseline in (*BASELINES, BEST):
            other = best if baseline == BEST else baseline
            if other == model:
                continue
            about: dict[str, Any] = {"target": target, "metric": f"ndcg@{k}", "model": model, "baseline": baseline}
            about |= {"best": best} if baseline == BEST else {}
            made.append(about | paired(values[model] - values[other], tuning))
    return made


def paired(difference: PerPerson, tuning: Tuning) -> dict[str, float]:
    """Mean of each person's difference, and its 95 % interval."""
    low, high = interval(resampled_means(difference[:, None], tuning.evaluation.bootstrap, tuning.seed))
    return {"mean": float(difference.mean()), "low": float(low[0]), "high": float(high[0]), "people": len(difference)}


def _values(lists: Lists, held: Holdout, model: str, target: str, metric: str, k: int) -> PerPerson:
    relevant = held.relevant[target]
    return per_person(metric, lists[model, target].hits, relevant, k)[relevant > 0]


def slice_rows(found: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of table SLICES that say how early people gain: NDCG over all targets, of what is published."""
    return (
        found.filter(model="published", target="all", metric="ndcg")
        .with_columns(pl.format("ndcg@{}", "k").alias("metric"))
        .select("slice", "group", "people", "metric", "value", "gain", "gain_low", "gain_high")
        .to_dicts()
    )


def rounded(value: Any) -> Any:
    """JSON values with floats cut to six decimals."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value
