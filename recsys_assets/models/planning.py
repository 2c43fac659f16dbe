"""A shop's past → its planner: learned on some days, tested on the newest, and held against what needs no model."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from recsys_assets.logic.baskets import LOOKS, Shopping, planned_products, shopping
from recsys_assets.logic.identities import merged, of_somebody
from recsys_assets.logic.intents import companions, first_after, labelled
from recsys_assets.logic.plan_states import Habits, States, as_texts, states
from recsys_assets.logic.plans import Look, Plan, PlanningTerms, Visit
from recsys_assets.logic.price_tiers import price_tiers
from recsys_assets.logic.repurchase import repurchase_cycles
from recsys_assets.models.plan_evaluation import MUST_BEAT, Judged, conversions, figures, judge, measures
from recsys_assets.models.plan_usual import Usual, combined
from recsys_assets.models.planner import Examples, Planner, Predicted
from recsys_assets.tables import PLAN_FIGURES
from recsys_assets.tuning import Tuning

USUAL_FILE = "usual.json"


@dataclass(frozen=True)
class ShopPlanner:
    """What makes plans on a day: trees where they may, else the shop's habits; ``terms`` and ``new`` go to the API."""

    usual: Usual
    trees: Planner | None
    terms: PlanningTerms

    @property
    def new(self) -> Plan:
        """The plan of somebody unknown."""
        return self.usual.new()

    def predict(self, states_of_day: States) -> Predicted:
        """What is next for everybody in the states."""
        usual = self.usual.predict(states_of_day)
        if self.trees is None:
            return usual
        return combined(self.trees.predict(states_of_day), usual, dict(self.terms.made_by))

    def save(self, folder: Path) -> None:
        """Writes it."""
        told = {"usual": self.usual.to_json(), "terms": self.terms.to_json(), "trees": self.trees is not None}
        (folder / USUAL_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")
        if self.trees is not None:
            self.trees.save(folder)

    @classmethod
    def load(cls, folder: Path, tuning: Tuning, threads: int = 1) -> "ShopPlanner":
        """What `save` wrote.

        Raises:
            SourceError: the trees are of another program.
        """
        told = json.loads((folder / USUAL_FILE).read_text(encoding="utf-8"))
        trees = Planner.load(folder, tuning, threads) if told["trees"] else None
        return cls(Usual.from_json(told["usual"]), trees, PlanningTerms.of(told["terms"]))


@dataclass(frozen=True)
class Trial:
    """The planner that was held against the newest days: it knew nothing of them, and neither does ``new``."""

    planner: Planner
    test: Examples
    new: Plan


@dataclass(frozen=True)
class Learned:
    """A planner, how well its like did on the newest days, and whether each part may come from trees.

    ``states`` are those that it learned from, the oldest day first.
    """

    planner: ShopPlanner
    figures: pl.DataFrame
    verdicts: list[Judged] = field(default_factory=list)
    examples: int = 0
    tested: Trial | None = None
    states: tuple[States, ...] = ()


@dataclass(frozen=True)
class Known:
    """What was known at the end of a day, and what the same people did after it.

    ``events`` is table CLEAN_EVENTS of people who may be learned from, under the links of that day; those of later
    days are what is asked, and nothing else looks at them. ``products`` are as `planned_products` makes them of
    that day's catalogue, ``cycles`` is table REPURCHASE_CYCLES of that day.
    """

    events: pl.DataFrame
    products: pl.DataFrame
    cycles: pl.DataFrame

    @classmethod
    def by(
        cls,
        day: date,
        events: pl.DataFrame,
        links: Callable[[pl.DataFrame, date], pl.DataFrame],
        out: Collection[str],
        catalog: pl.DataFrame,
        later: pl.DataFrame,
        tuning: Tuning,
    ) -> "Known":
        """What was known at the end of ``day``.

        Args:
            day: the day.
            events: table CLEAN_EVENTS, of later days too.
            links: events and a day → table IDENTITIES as of the day.
            out: keys of everybody who is not learned from.
            catalog: table CATALOG as of the day.
            later: the same of a later day: what only it knows can have been bought after the day alone.
            tuning: ``price_tiers``, ``planner``, ``window_days`` and ``repurchase_cycle`` are read.
        """
        events = events.filter(pl.col("event_date") > day - timedelta(days=tuning.window_days))
        known = links(events, day)
        linked = merged(events, known)
        products = _planned(catalog, tuning)
        new = _planned(later, tuning).join(products, on="product_id", how="anti")
        cycles = repurchase_cycles(linked, catalog, day, tuning)
        return cls(of_somebody(linked, known, out), pl.concat([products, new]).sort("product_id"), cycles)

    def shopping(self, day: date) -> Shopping:
        """What people did up to ``day``."""
        return shopping(self.events.filter(pl.col("event_date") <= day), self.products)


def _planned(catalog: pl.DataFrame, tuning: Tuning) -> pl.DataFrame:
    knobs = tuning.planner
    return planned_products(catalog, price_tiers(catalog, tuning), knobs.category_depth, knobs.gift_words)


def learn(
    known: Callable[[date], Known],
    as_of: date,
    tuning: Tuning,
    threads: int = 1,
    progress: Callable[[str], object] = lambda _: None,
) -> Learned:
    """The planner of a day.

    Days a horizon apart are looked at, each with the first baskets after it. Each is as it was known then: no later
    link between people's keys, price, tier or cycle is in it. What is tested has learned from the days whose horizons
    end where the newest begins, and is fitted anew with that one before it plans (promise 6).

    Args:
        known: what was known at the end of a day.
        as_of: the day; nothing after it is read.
        tuning: ``planner``, ``evaluation.bootstrap``, ``user_types``, ``k_anonymity`` and ``seed`` are read.
        threads: never change a result.
        progress: told each step.
    """
    knobs, now = tuning.planner, known(as_of)
    everything = now.shopping(as_of)
    some = everything.of(_drawn(_people(everything), knobs.people, tuning.seed))
    days = _origins(some, as_of, tuning)
    labels = labelled(some, companions(everything, tuning), now.cycles, tuning)
    usual = Usual.of(some, labels, _bought_lately(some, as_of, knobs.horizon_days), tuning)
    terms = PlanningTerms(knobs.category_depth, knobs.gift_words, shares=usual.intents)
    if len(days) < 2:
        progress("the shop is too young for trees: its habits plan")
        return Learned(ShopPlanner(usual, None, terms), PLAN_FIGURES.empty())
    progress(f"{len(days)} days of examples, {days[0]} to {days[-1]}")
    pasts = [_past(known(day), day, as_of, tuning) for day in days]
    examples = [one.example for one in pasts]
    states = tuple(one.states for one in examples)
    *learned, test = [one for one in examples if one.met_again().height] or [examples[-1]]
    if not learned or test is not examples[-1]:
        progress("hardly anybody bought twice: the shop's habits plan")
        return Learned(ShopPlanner(usual, None, terms), PLAN_FIGURES.empty(), states=states)
    progress("fit and test")
    tested = Planner(tuning, threads).fit(learned)
    tested.sharpen(test.states)  # from what was known by then
    told = _tested(tested, test, learned, tuning)
    verdicts = judge(told, tuning)
    progress("fit anew")
    trees = Planner(tuning, threads).fit([*learned, test])
    trees.sharpen(test.states)
    by_part = {one.part: "trees" if one.passed else "usual" for one in verdicts}
    bought = test.met_again().height / max(1, test.states.people.height)
    usual = replace(usual, buys=bought)
    terms = replace(trees.terms, made_by=by_part)
    if by_part["intent"] != "trees":
        terms = replace(terms, shares=usual.intents, sharpness=0.0)
    newest = pasts[-1]
    new = Usual.of(newest.shopping, newest.baskets, usual.buys, tuning).new()
    count = sum(one.after.height for one in examples)
    return Learned(ShopPlanner(usual, trees, terms), told, verdicts, count, Trial(tested, test, new), states)


@dataclass(frozen=True)
class _Past:
    """A day of the past: its example, and what was known of the same people by then, baskets with their intents."""

    example: Examples
    shopping: Shopping
    baskets: pl.DataFrame


def _past(known: Known, day: date, as_of: date, tuning: Tuning) -> _Past:
    """Some people's day: drawn from whoever was known by then, and from whoever came first within the horizon."""
    knobs = tuning.planner
    until = min(day + timedelta(days=knobs.horizon_days), as_of)
    events = known.events.filter(pl.col("event_date") <= until)
    before, after = (
        _shoppers(events.filter(which)) for which in (pl.col("event_date") <= day, pl.col("event_date") > day)
    )
    new = after.join(before, on="person_key", how="anti", maintain_order="left")
    drawn = pl.concat([_drawn(people, knobs.people, tuning.seed) for people in (before, new)])
    person = pl.coalesce("user_key", "anon_key").is_in(drawn["person_key"].implode())
    some = shopping(events.filter(person), known.products)
    then = some.until(day)
    pairs = companions(then, tuning)
    labels = labelled(some, pairs, known.cycles, tuning)
    example = example_of(some, labels, pairs, day, tuning)
    return _Past(example, then, labels.filter(pl.col("event_date") <= day))


def states_by(known: Known, day: date, tuning: Tuning) -> States:
    """Everybody's state that the planner learns from, as of a day of the past; see `learn`."""
    return _past(known, day, day, tuning).example.states


def states_of(
    shopping: Shopping,
    cycles: pl.DataFrame,
    as_of: date,
    tuning: Tuning,
    pairs: pl.DataFrame,
    habits: Habits | None = None,
) -> States:
    """Everybody's state at the end of a day; ``habits`` of the whole shop, where ``shopping`` is of some people."""
    return states(shopping, labelled(shopping, pairs, cycles, tuning), pairs, as_of, habits)


def habits_of(shopping: Shopping, cycles: pl.DataFrame, tuning: Tuning, pairs: pl.DataFrame) -> Habits:
    """What the whole shop does, so that a person's plan does not depend on who is planned for beside them."""
    return Habits.of(labelled(shopping, pairs, cycles, tuning))


def _tested(planner: Planner, test: Examples, learned: Sequence[Examples], tuning: Tuning) -> pl.DataFrame:
    people = test.after.filter(pl.col("category") != "").select("person_key")
    if people.is_empty():
        people = test.after.select("person_key")
    said = planner.predict(test.states, people)
    past = pl.concat([one.after for one in learned])
    prices = pl.concat(
        [
            one.prices.join(one.states.people.select("person_key", "_price"), on="person_key", maintain_order="left")
            for one in learned
        ]
    )
    found = measures(test, said, planner, past, prices, tuning)
    more, everybody = conversions(test, planner, learned)
    known = test.states.people
    return pl.concat(
        figures(some, _by_type(known, order, tuning), tuning.evaluation.bootstrap, tuning.seed, tuning.k_anonymity)
        for some, order in ((found, said.people), (more, everybody))
    )


def _by_type(known: pl.DataFrame, people: Sequence[str], tuning: Tuning) -> Mapping[str, np.ndarray]:
    """Which of ``people`` belong to a user type, by the orders they had."""
    order = pl.DataFrame({"person_key": list(people)})
    baskets = order.join(known, on="person_key", how="left", maintain_order="left")["_baskets"].to_numpy()
    bounds = [0, *tuning.user_types.model_dump().values()]
    groups = {"all": np.ones(len(baskets), dtype=bool)}
    for name, low, high in zip(("new", "sparse", "regular", "loyal"), bounds, [*bounds[1:], np.inf], strict=True):
        groups[name] = (baskets >= low) & (baskets < high)
    return groups


def _origins(shopping: Shopping, as_of: date, tuning: Tuning) -> list[date]:
    """Days whose horizon has passed and before which somebody had bought, oldest first."""
    if shopping.baskets.is_empty():
        return []
    first: date = shopping.baskets["event_date"].min()  # type: ignore[assignment] # a column of days
    days = [as_of - timedelta(days=tuning.planner.horizon_days * back) for back in range(1, tuning.planner.origins + 1)]
    return [day for day in reversed(days) if day >= first]


def _bought_lately(shopping: Shopping, as_of: date, days: int) -> float:
    """Share of people who bought within the last ``days``: all that a young shop knows of the next ones."""
    lately = shopping.baskets.filter((pl.lit(as_of) - pl.col("event_date")).dt.total_days() < days)
    return lately["person_key"].n_unique() / max(1, _people(shopping).height)


def example_of(shopping: Shopping, baskets: pl.DataFrame, pairs: pl.DataFrame, day: date, tuning: Tuning) -> Examples:
    """What was known at the end of a day, and what people bought within the horizon after it.

    Args:
        shopping: of these days and more.
        baskets: the same baskets with their intents.
        pairs: `logic.intents.companions`.
        day: the day.
        tuning: ``planner.horizon_days`` is read.
    """
    known = baskets.filter(pl.col("event_date") <= day)
    after = first_after(baskets, day, tuning.planner.horizon_days)
    prices = (
        shopping.lines.filter(pl.col("price_micros").is_not_null())
        .join(after.select("person_key", "_order"), on=["person_key", "_order"], how="semi", maintain_order="left")
        .select(
            "person_key",
            pl.col("price_micros").log().alias("_log"),
            (1 / pl.len().over("person_key")).alias("_weight"),
        )
    )
    said = states(shopping.until(day), known, pairs, day)
    return Examples(said, as_texts(after), as_texts(prices), _visits(shopping, after))


def _visits(shopping: Shopping, after: pl.DataFrame) -> dict[str, Visit]:
    """What people looked at on the day of a basket, before they ordered."""
    looks = shopping.looks.join(
        after.select("person_key", "event_date", pl.col("_time").alias("_ordered")),
        on=["person_key", "event_date"],
        maintain_order="left",
    ).filter(pl.col("_time") < pl.col("_ordered"))
    found: dict[str, list[Look]] = {}
    carts = pl.col("_cart") & ~(pl.col("_removed") < pl.col("_ordered")).fill_null(False)
    for person, category, price, cart in looks.select("person_key", "category", "_price", carts).iter_rows():
        found.setdefault(person, []).append(Look(category or None, price, cart))
    return {person: Visit(tuple(seen)) for person, seen in found.items()}


def _people(shopping: Shopping) -> pl.DataFrame:
    both = pl.concat([shopping.baskets.select("person_key"), shopping.looks.select("person_key")])
    return both.unique().sort("person_key")


def _shoppers(events: pl.DataFrame) -> pl.DataFrame:
    """``person_key`` of whoever bought or looked at something, ordered."""
    return (
        events.filter(pl.col("event_type").is_in(["purchase", *LOOKS]), pl.col("product_id").is_not_null())
        .select(pl.coalesce("user_key", "anon_key").alias("person_key"))
        .drop_nulls()
        .unique()
        .sort("person_key")
    )


def _drawn(people: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    if people.height <= most:
        return people
    return people[np.sort(np.random.default_rng(seed).permutation(people.height)[:most])]


__all__ = [
    "MUST_BEAT", "Known", "Learned", "ShopPlanner", "Trial", "example_of", "habits_of", "learn", "states_by",
    "states_of",
]  # fmt: skip
