"""What a plan says where no trees may: the last category again, the person's median price, the shop's habits."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from recsys_assets.logic.baskets import Shopping
from recsys_assets.logic.copy_facts import INTENTS, TRIGGERS
from recsys_assets.logic.plan_states import States
from recsys_assets.logic.plans import LEAST, Plan
from recsys_assets.models.planner import Floats, Predicted, in_micros
from recsys_assets.tuning import Tuning

KNOWN = 50  # categories of the plan of somebody unknown


@dataclass(frozen=True)
class Usual:
    """A shop's habits: probabilities, and log prices.

    ``shares`` of categories as main ones, commonest first; ``stays``: how often the main category is that of the basket
    before; ``prices`` the bracket's quantiles of all items, ``spread`` of items over their buyer's median.
    """

    shares: tuple[tuple[str, float], ...]
    stays: float
    intents: tuple[float, ...]
    triggers: tuple[float, ...]
    prices: tuple[float, ...]
    spread: tuple[float, ...]
    buys: float

    @classmethod
    def of(cls, shopping: Shopping, baskets: pl.DataFrame, buys: float, tuning: Tuning) -> "Usual":
        """The habits of everything that is known; ``baskets`` with their intents, ``buys`` as the past has it."""
        counts = baskets["category"].value_counts().sort("count", "category", descending=[True, False]).head(KNOWN)
        size = max(1, baskets.height)
        before = pl.col("category").shift().over("person_key", order_by=["_time", "_order"])
        stays = baskets.select((pl.col("category") == before).mean()).item()
        priced = shopping.lines.filter(pl.col("price_micros").is_not_null()).select(
            "person_key", pl.col("price_micros").log().alias("_log")
        )
        around = priced.select(pl.col("_log") - pl.col("_log").median().over("person_key")).to_series()
        quantiles = tuning.planner.bracket
        return cls(
            tuple(zip(counts["category"], (counts["count"] / size).to_list(), strict=True)),
            float(stays or 0.0),
            _shares(baskets, "intent", INTENTS),
            _shares(baskets, "trigger", TRIGGERS),
            tuple(_at(priced["_log"], share) for share in quantiles),
            tuple(_at(around, share) for share in quantiles),
            buys,
        )

    def predict(self, states: States) -> Predicted:
        """The same of everybody, but for their last category and their median price."""
        people, pairs = states.people, states.categories
        share = pl.col("category").replace_strict(dict(self.shares), default=0.0, return_dtype=pl.Float64)
        chance = pl.when(pl.col("_last_main") > 0).then(self.stays).otherwise((1 - self.stays) * share)
        chance = chance.clip(LEAST, 1 - LEAST)
        size = people.height
        middle = people["_price"].to_numpy().astype(np.float64)
        known = ~np.isnan(middle)
        prices = np.tile(np.array(self.prices), (size, 1))
        prices[known] = middle[known, None] + np.array(self.spread)
        return Predicted(
            people["person_key"].to_list(),
            pairs.select("person_key", "category", (chance / (1 - chance)).log().round(6).alias("_score")),
            _logs(self.intents, size),
            _logs(self.triggers, size),
            prices.round(6),
            np.full(size, self.buys),
        )

    def new(self) -> Plan:
        """The plan of somebody unknown."""
        scores = [
            (name, float(np.log(min(share, 1 - LEAST) / (1 - min(share, 1 - LEAST))))) for name, share in self.shares
        ]
        intents, triggers = (_logs(one, 1)[0].tolist() for one in (self.intents, self.triggers))
        bracket = in_micros(np.array(self.prices))
        return Plan(tuple(scores), tuple(intents), tuple(triggers), bracket, self.buys)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` is the reverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Usual":
        """What `to_json` wrote."""
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list | tuple)}
        shares = tuple((name, share) for name, share in values["shares"])
        return cls(**(values | tuples | {"shares": shares}))


def combined(trees: Predicted, usual: Predicted, made_by: dict[str, str]) -> Predicted:
    """Each part from whom it may come: trees where ``made_by`` says so."""

    def of(part: str) -> Predicted:
        return trees if made_by.get(part) == "trees" else usual

    return Predicted(
        trees.people,
        of("category").categories,
        of("intent").intents,
        of("trigger").triggers,
        of("bracket").prices,
        of("buys").buys,
    )


def _shares(baskets: pl.DataFrame, column: str, names: tuple[str, ...]) -> tuple[float, ...]:
    size = max(1, baskets.height)
    return tuple(float((baskets[column] == name).sum()) / size if baskets.height else 1 / len(names) for name in names)


def _at(values: pl.Series, share: float) -> float:
    found = values.quantile(share, "nearest")
    return float("nan") if found is None else float(found)


def _logs(chances: tuple[float, ...], size: int) -> Floats:
    row: Floats = np.log(np.maximum(np.array(chances), LEAST)).round(6)
    return np.tile(row, (size, 1))
