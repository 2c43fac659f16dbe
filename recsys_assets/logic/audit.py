"""An auditor: recomputes from clean events why each product is on a list, and what put it there, with its own code.

It shares nothing with what made the reasons but the rules as the README states them, and is written in plain loops
where that is written in frames, so that one mistake is not made twice.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

Owned = Mapping[str, Sequence[date]]
_BOUGHT, _RETURNED = "purchase", "return"
_TYPES = ("new", "sparse", "regular", "loyal")
_NEAR = 1e-6  # scores are published as 32-bit numbers


@dataclass(frozen=True)
class Falsehood:
    """A reason or a source that is not borne out: what the list says, and what it should say."""

    person_key: str
    product_id: str
    code: str
    said: str
    true: str


@dataclass(frozen=True)
class Audit:
    """How many reasons (or ``what``) were recomputed ``of`` what, and those that are false."""

    checked: int
    false: tuple[Falsehood, ...]
    what: str = "reasons"
    of: str = "clean_events"

    def __str__(self) -> str:
        """Counts by code; no person and no product."""
        if not self.false:
            return f"{self.checked:,} {self.what} recomputed from {self.of}, all true"
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(Counter(f.code for f in self.false).items()))
        return f"{len(self.false):,} of {self.checked:,} {self.what} do not follow from {self.of}: {codes}"


def audit_sources(
    lists: pl.DataFrame,
    weights: Mapping[str, Mapping[str, float]],
    baskets: Mapping[str, int],
    types: Sequence[int],
    pinned: Collection[str] = (),
) -> Audit:
    """Every ``model_source`` of ``lists`` against weights and member scores; of like loud members, any is true.

    Args:
        lists: table LISTS, whole or of some people.
        weights: by member, of everybody (``all``) and of types of history that have their own.
        baskets: how many of each person are known.
        types: baskets from which a person is sparse, regular, loyal.
        pinned: products that the shop puts into every list.
    """
    false: list[Falsehood] = []
    members = sorted({name for own in weights.values() for name in own} & set(lists.columns))
    for row in lists.select("person_key", "product_id", "model_source", *members).iter_rows(named=True):
        person, product, said = row["person_key"], row["product_id"], row["model_source"]
        if product in pinned:
            true = {"pinned"}
        else:
            kind = _TYPES[sum(baskets.get(person, 0) >= least for least in types)]
            own = weights.get(kind, weights["all"])
            parts = {name: own.get(name, 0.0) * (row[name] or 0.0) for name in members}
            most = max(parts.values(), default=0.0)
            true = {name for name, part in parts.items() if part >= most - _NEAR and part > 0}
        if said not in true:
            false.append(Falsehood(person, product, str(said), str(said), ", ".join(sorted(true))))
    return Audit(lists.height, tuple(false), "sources", "weights and scores")


def audit(
    lists: pl.DataFrame,
    events: pl.DataFrame,
    categories: Mapping[str, str | None],
    neighbours: Mapping[str, Collection[str]],
    as_of: date,
    *,
    window_days: int,
    recent_days: int,
    least_buyers: int,
    pinned: Collection[str] = (),
) -> Audit:
    """Every reason of ``lists`` against the events: its code, its count and its words.

    The first reason that holds has to be given. Of a pinned product, which nothing put forward, any one that holds.

    Args:
        lists: table LISTS, whole or of some people.
        events: table CLEAN_EVENTS of everybody, as models are shown them; days outside the window are ignored.
        categories: product → category path, of the whole catalogue.
        neighbours: product → the products that the model holds to be near it.
        as_of: last day of the window.
        window_days: its length.
        recent_days: what "lately" is.
        least_buyers: people from which a count of buyers is told.
        pinned: products that the shop puts into every list.
    """
    first = as_of - timedelta(window_days - 1)
    inside = events.filter(pl.col("event_date").is_between(first, as_of), pl.col("product_id").is_not_null())
    lately = max(first, as_of - timedelta(recent_days - 1))
    buyers = _buyers(inside, lately)
    owned = _owned(inside, set(lists["person_key"].unique().to_list()))
    pinned = set(pinned)
    false: list[Falsehood] = []
    columns = ("person_key", "product_id", "reason_code", "reason_count", "reason")
    of: str | None = None
    near: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    for person, product, code, count, reason in lists.select(columns).sort("person_key").iter_rows():
        if person != of:
            of, mine = person, owned.get(person, {})
            near = Counter(other for one in mine for other in neighbours.get(one, ()))
            alike = Counter(path for one in mine if (path := categories.get(one)) is not None)
        path = categories.get(product)
        days = owned.get(person, {}).get(product, ())
        true = list(
            _reasons(
                days, near[product], alike[path] if path is not None else 0, path,
                buyers.get(product, 0), least_buyers, recent_days, product in pinned,
            )
        )  # fmt: skip
        if (code, count, reason) not in (true if product in pinned else true[:1]):
            false.append(Falsehood(person, product, str(code), str(reason), true[0][2]))
    return Audit(lists.height, tuple(false))


def _reasons(
    days: Sequence[date], near: int, alike: int, path: str | None, buyers: int, least: int, recent: int, pinned: bool
) -> Iterator[tuple[str, int | None, str]]:
    """Code, count and words of each reason that holds, the first one first."""
    if len(days) == 1:
        yield "bought_before", 1, f"You bought this once, in {days[0]:%B}"
    elif days:
        yield "bought_before", len(days), f"You bought this {len(days)} times, last in {max(days):%B}"
    if near:
        yield "similar_owned", near, f"Similar to {_counted(near, 'item')} in your purchase history"
    if alike and path is not None:
        yield "category_owned", alike, f"You bought {_counted(alike, 'product')} of {path.split('>')[-1].strip()}"
    if buyers >= max(least, 1):
        span = "day" if recent == 1 else f"{recent} days"
        yield "popular", buyers, f"Bought by {_counted(buyers, 'customer')} in the last {span}"
    if pinned:
        yield "pinned", None, "Chosen by the shop"
    yield "taste", None, "Picked from what people with your taste buy"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _buyers(events: pl.DataFrame, lately: date) -> dict[str, int]:
    """Product → people who bought it since ``lately``, whatever they gave back."""
    bought = events.filter(pl.col("event_type") == _BOUGHT, pl.col("event_date") >= lately)
    pairs = bought.select(pl.coalesce("user_key", "anon_key"), "product_id").unique()
    return Counter(pairs["product_id"].to_list())


@dataclass
class _Pile:
    """Units of one product that one person took home with one order on one day, less what they brought back."""

    order: str
    day: date
    at: datetime
    left: int


def _owned(events: pl.DataFrame, people: Collection[str]) -> dict[str, dict[str, list[date]]]:
    """Person → product → the days on which it was bought and not given back.

    Of its own: units are carried to a shelf and taken off it again, one event after the other, as the person did.
    """
    shelves: dict[tuple[str, str], list[_Pile]] = defaultdict(list)
    # A day's purchases are put down before its returns: by their time they are told apart below.
    told = sorted(_lines(events, people), key=lambda line: (line[3], line[2] == _RETURNED, line[4], line[6] is None))
    for person, product, kind, day, at, units, order in told:
        shelf = shelves[person, product]
        if kind == _BOUGHT:
            name = f"day {day}" if order is None else f"order {order}"
            pile = next((pile for pile in shelf if (pile.order, pile.day) == (name, day)), None)
            if pile is None:
                shelf.append(_Pile(name, day, at, units))
            else:
                pile.left += units
            continue
        shelf.sort(key=lambda pile: (pile.day, pile.at, pile.order), reverse=True)
        named = [pile for pile in shelf if order is not None and pile.order == f"order {order}"]
        older = [pile for pile in shelf if pile.day < day]
        same_day = [pile for pile in shelf if pile.day == day and pile.at <= at]
        back = units
        for pile in (*named, *older, *same_day):
            taken = min(pile.left, back)
            pile.left -= taken
            back -= taken
    owned: dict[str, dict[str, list[date]]] = defaultdict(dict)
    for (person, product), shelf in shelves.items():
        days = sorted({pile.day for pile in shelf if pile.left})
        if days:
            owned[person][product] = days
    return owned


def _lines(
    events: pl.DataFrame, people: Collection[str]
) -> Iterator[tuple[str, str, str, date, datetime, int, str | None]]:
    """Bought and returned lines of ``people``: person, product, kind, day, time, units, order."""
    person = pl.coalesce("user_key", "anon_key").alias("person_key")
    columns = ("product_id", "event_type", "event_date", "event_time", "order_id", "quantity")
    wanted = pl.DataFrame({"person_key": sorted(people)}, schema={"person_key": pl.String})
    sold = (
        events.filter(pl.col("event_type").is_in([_BOUGHT, _RETURNED]))
        .select(person, *columns)
        .join(wanted, on="person_key", how="semi")
    )
    for who, product, kind, day, at, order, quantity in sold.iter_rows():
        yield who, product, kind, day, at, max(abs(quantity), 1) if quantity is not None else 1, order
