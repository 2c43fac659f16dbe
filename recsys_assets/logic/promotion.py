"""Whether today's lists may take the place of the live ones: no worse, and not strangely different (promise 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recsys_assets.logic.price_tiers import TIERS
from recsys_assets.tables import MICROS, PROMOTION
from recsys_assets.tuning import Promotion

_BUT = "If this is right all the same, name the day in promotion.accept_days of home.toml and run it again."
ENOUGH_PEOPLE = 30  # of fewer, an interval over people says nothing
# Times that a 95 % interval is stretched before it may stop a night. By chance, zero lies beyond one end of a 95 %
# interval once in 40 nights, and two such rules would stop an equal recipe on one night of 20; stretched, to 1.3 × 1.96
# standard errors on a side, they do so on about one of 100.
STRETCH = 1.3
BASELINES = ("popularity", "champion", "reference")


@dataclass(frozen=True)
class Compared:
    """A paired difference on the test window: today's way of making lists less another's, 95 % interval over people.

    ``theirs`` is the other's figure.
    """

    baseline: str
    metric: str
    difference: float
    low: float
    high: float
    people: int
    theirs: float

    @classmethod
    def among(cls, comparisons: pl.DataFrame, figures: pl.DataFrame, metric: str, k: int) -> dict[str, Compared]:
        """What tables COMPARISONS and EVALUATION hold of the published lists on the test window, by baseline."""
        about = {"split": "test", "target": "all", "metric": metric, "k": k}
        theirs = dict(figures.filter(**about).select("model", "value").iter_rows())
        return {
            row["baseline"]: cls(
                row["baseline"], f"{metric.upper()}@{k}", row["difference"], row["low"], row["high"], row["people"],
                theirs[row["baseline"]],
            )
            for row in comparisons.filter(model="published", **about).iter_rows(named=True)
        }  # fmt: skip

    def stretched(self) -> tuple[float, float]:
        """The interval, `STRETCH` times as far to either side."""
        middle = self.difference
        return middle - STRETCH * (middle - self.low), middle + STRETCH * (self.high - middle)


@dataclass(frozen=True)
class ListFacts:
    """What some people's lists are like.

    ``products`` counts those that stand on any list, ``length`` is places per person, ``tiers`` the share of places
    per price tier, ``price`` the mean price of a place (micros), ``out_of_stock`` the share of places whose product
    the catalogue says is sold out, or does not offer.
    """

    people: int
    products: int
    length: float
    tiers: Mapping[str, float]
    price: float
    out_of_stock: float

    @classmethod
    def of(cls, served: pl.DataFrame, catalog: pl.DataFrame, tiers: pl.DataFrame) -> ListFacts:
        """Of the rows of table LISTS that are served.

        Args:
            served: ``person_key``, ``product_id``, ``price_micros``.
            catalog: table CATALOG of today.
            tiers: ``product_id`` and ``price_tier`` of today.
        """
        out = pl.col("in_stock").not_().fill_null(False) | (pl.col("stock_level") <= 0).fill_null(False)
        known = catalog.select("product_id", (out | pl.col("not_recommendable").is_not_null()).alias("_out"))
        places = served.join(tiers, on="product_id", how="left").join(known, on="product_id", how="left")
        people, count = served["person_key"].n_unique(), max(served.height, 1)
        return cls(
            people=people,
            products=served["product_id"].n_unique(),
            length=served.height / max(people, 1),
            tiers={name: int((places["price_tier"] == name).sum() or 0) / count for name in TIERS},
            price=int(served["price_micros"].sum()) / count,
            out_of_stock=int(places["_out"].fill_null(True).sum()) / count,
        )


def churn(today: pl.DataFrame, live: pl.DataFrame) -> float | None:
    """Share of the live places whose product today's list of the same person lacks, over people with both; else None.

    >>> live = pl.DataFrame({"person_key": ["p", "p", "q"], "product_id": ["a", "b", "a"]})
    >>> today = pl.DataFrame({"person_key": ["p", "p"], "product_id": ["b", "c"]})
    >>> churn(today, live)
    0.5
    """
    both = live.join(today.select("person_key").unique(), on="person_key", how="semi")
    if both.is_empty():
        return None
    kept = both.join(today, on=["person_key", "product_id"], how="semi").height
    return 1 - kept / both.height


@dataclass(frozen=True)
class Verdict:
    """One rule of the gate: what was found, what it is held against, and both in words."""

    rule: str
    ok: bool
    value: float | None
    bound: float | None
    says: str


def judge(
    compared: Mapping[str, Compared],
    today: ListFacts,
    live: ListFacts | None,
    changed: float | None,
    people: tuple[int, int | None],
    knobs: Promotion,
    named: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """Every rule of the gate, in order; what has nothing to be compared with passes and says so.

    Lists are worse than a baseline where a loss is beyond chance, and may be more than ``promotion.margin`` of the
    baseline's figure. Beside the live recipe (``champion``), which may be a little worse every night, stands a fixed
    one (``reference``): against it small losses add up.

    Args:
        compared: by baseline; ``popularity`` and, where something is live, ``champion`` and ``reference``.
        today: of the people of ``live``; of everybody where nothing is live.
        live: of the lists that readers see now.
        changed: see `churn`.
        people: who has a list today, and who has a live one.
        knobs: ``promotion.*``.
        named: what ``champion`` and ``reference`` are, or why there is none, in words.
    """
    return [
        *(no_worse(baseline, compared, knobs.margin, (named or {}).get(baseline)) for baseline in BASELINES),
        *_volume(today, live, people, knobs),
        _share(
            "coverage", "products on anybody's list",
            today.products, live.products if live else None, knobs.coverage_at_least,
        ),
        _at_most(
            "churn", changed, knobs.churn_at_most, "of the live places hold a product that today's list lacks"
        ),
        _tiers(today, live, knobs),
        _price(today, live, knobs),
        _at_most(
            "stock", today.out_of_stock, knobs.out_of_stock_at_most, "of the places hold a product that is not offered"
        ),
    ]  # fmt: skip


def new_reference(before: Mapping[str, object] | None, knobs: Mapping[str, object], *, by_hand: bool) -> str | None:
    """Why what goes live now is what later lists are held against, in words; None: it is not.

    >>> new_reference(None, {}, by_hand=False), new_reference({}, {}, by_hand=False)
    ('the first that went live', None)
    >>> new_reference({}, {"als.factors": 32}, by_hand=False)
    'with the knobs of an accepted search'

    Args:
        before: knobs that a search had set when the last reference was made; None: there is none.
        knobs: those that a search has set now.
        by_hand: a rule of the gate refused the lists, and ``promotion.accept_days`` let them through.
    """
    if before is None:
        return "the first that went live"
    if dict(before) != dict(knobs):
        return "with the knobs of an accepted search" if knobs else "without the knobs of the search before"
    return "accepted by promotion.accept_days" if by_hand else None


@dataclass(frozen=True)
class Decision:
    """``passed``: every rule holds; ``stops``: the day must not go live. ``says`` why, and what happens now."""

    passed: bool
    stops: bool
    says: str


def decide(verdicts: Sequence[Verdict], against: str, accepted: bool) -> Decision:
    """What follows of the rules.

    >>> decide([Verdict("stock", False, 0.1, 0.0, "10% is not offered")], "generation 3", True)
    Decision(passed=False, stops=False, says='stock: 10% is not offered. Accepted by promotion.accept_days')

    Args:
        verdicts: of `judge`.
        against: what the lists were held against, and what stays live where they are refused.
        accepted: the day is one of ``promotion.accept_days``.
    """
    refused = [f"{one.rule}: {one.says}" for one in verdicts if not one.ok]
    if not refused:
        return Decision(True, False, f"every rule holds against {against}")
    then = ["Accepted by promotion.accept_days"] if accepted else [f"{against} stays live", _BUT]
    return Decision(False, not accepted, ". ".join([*refused, *then]))


def table(verdicts: Sequence[Verdict]) -> pl.DataFrame:
    """Table PROMOTION."""
    rows = [
        {"rule": one.rule, "passed": one.ok, "value": one.value, "bound": one.bound, "says": one.says}
        for one in verdicts
    ]
    return pl.DataFrame(rows, schema=PROMOTION.columns)


def no_worse(baseline: str, compared: Mapping[str, Compared], margin: float, named: str | None = None) -> Verdict:
    """The rule that lists are not worse than a baseline's; see `judge`."""
    rule, found = f"no_worse_than_{baseline}", compared.get(baseline)
    if found is None:
        why = named or ("the shop is too young for a test window" if baseline == "popularity" else "nothing is live")
        return Verdict(rule, True, None, None, f"not compared with {baseline}: {why}")
    bearable = margin * found.theirs
    told = (
        f"{found.metric} on the test window differs from that of {baseline}{f' ({named})' if named else ''} by "
        f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}], paired over {found.people:,} people; "
        f"{bearable:.4f} may be lost"
    )
    if found.people < ENOUGH_PEOPLE:
        return Verdict(rule, True, found.difference, -bearable, f"{told}: too few to tell")
    low, high = found.stretched()
    worse = high < 0 and low < -bearable
    return Verdict(rule, not worse, found.difference, -bearable, told + (": it is worse" if worse else ""))


def _volume(
    today: ListFacts, live: ListFacts | None, people: tuple[int, int | None], knobs: Promotion
) -> list[Verdict]:
    return [
        _share("people", "people with a list", people[0], people[1], knobs.volume_at_least),
        _share("length", "products per list", today.length, live.length if live else None, knobs.volume_at_least),
    ]


def _share(rule: str, what: str, value: float, live: float | None, least: float) -> Verdict:
    if not live:
        return Verdict(rule, True, None, least, f"{what}: {value:,.4g}; nothing is live to compare with")
    share = value / live
    return Verdict(
        rule, share >= least, share, least,
        f"{what}: {value:,.5g}, {share:.2f} times the live {live:,.5g} (at least {least:g})",
    )  # fmt: skip


def _at_most(rule: str, value: float | None, most: float, what: str) -> Verdict:
    if value is None:
        return Verdict(rule, True, None, most, "nobody has a live list to compare with")
    return Verdict(rule, value <= most, value, most, f"{value:.1%} {what} (at most {most:.1%})")


def _tiers(today: ListFacts, live: ListFacts | None, knobs: Promotion) -> Verdict:
    most = knobs.price_mix_at_most
    if live is None:
        return Verdict("price_mix", True, None, most, "nothing is live to compare price tiers with")
    moved = sum(abs(today.tiers[name] - live.tiers[name]) for name in TIERS) / 2
    mix = ", ".join(f"{name} {live.tiers[name]:.0%} → {today.tiers[name]:.0%}" for name in TIERS)
    return Verdict(
        "price_mix", moved <= most, moved, most, f"{moved:.1%} of the places moved to another price tier ({mix}; "
        f"at most {most:.1%})"
    )  # fmt: skip


def _price(today: ListFacts, live: ListFacts | None, knobs: Promotion) -> Verdict:
    most = knobs.price_times
    if live is None or live.price <= 0 or today.price <= 0:
        return Verdict("price", True, None, most, "nothing is live to compare prices with")
    times = max(today.price / live.price, live.price / today.price)
    told = f"a listed product costs {today.price / MICROS:,.2f}, a live one {live.price / MICROS:,.2f}"
    return Verdict("price", times <= most, times, most, f"{told} ({times:.2f} times; at most {most:g})")
