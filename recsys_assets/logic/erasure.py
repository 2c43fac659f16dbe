"""Which keys go with people who are erased, and frames without them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from recsys_assets.tables import IDENTITIES, TABLES, USERS, Table

# Every column of the lake that says which person a row is about; a test holds the tables against it.
PERSON_COLUMNS = ("user_key", "anon_key", "person_key")
PERSONAL = tuple(table for table in TABLES.values() if set(PERSON_COLUMNS) & set(table.columns))
PAIRED = tuple(table for table in PERSONAL if {"user_key", "anon_key"} <= set(table.columns))

_USER, _ANON, _PERSON = (pl.col(name) for name in PERSON_COLUMNS)


def person_columns(table: Table) -> list[str]:
    """Those of ``table``."""
    return [name for name in PERSON_COLUMNS if name in table.columns]


@dataclass(frozen=True)
class Gone:
    """Keys that go, and what is known of their neighbours.

    ``asked`` were asked for; ``with_users`` are anonymous keys that nobody but erased users was seen with: what was
    done there without a login came to them by the merge alone. ``shared`` are anonymous keys of erased users that
    others use too: what was done there without a login stays, and is nobody's. ``made_with`` are users who stay, each
    with the erased anonymous keys that were seen with them: what was made of their events was made of both.
    """

    asked: frozenset[str] = frozenset()
    with_users: Mapping[str, frozenset[str]] = field(default_factory=dict)  # anonymous key → erased users
    shared: frozenset[str] = frozenset()
    made_with: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        """Every key that goes."""
        return self.asked | self.with_users.keys()

    def behind(self, key: str) -> frozenset[str]:
        """For whose erasure a row of ``key`` goes."""
        return self.made_with.get(key, frozenset({key}) | self.with_users.get(key, frozenset()))


def gone(pairs: pl.DataFrame, asked: Collection[str]) -> Gone:
    """Who goes when ``asked`` (keys, of either kind) are erased.

    >>> pairs = pl.DataFrame({"user_key": ["u", "u", "v"], "anon_key": ["own", "both", "both"]})
    >>> found = gone(pairs, {"u"})
    >>> sorted(found.keys), sorted(found.shared)
    (['own', 'u'], ['both'])

    Args:
        pairs: ``user_key`` and ``anon_key`` that stand in one row, neither null.
        asked: keys.
    """
    erased = pl.Series(sorted(asked), dtype=pl.String)
    theirs = pairs.filter(_USER.is_in(erased.implode()))["anon_key"].unique()
    users: dict[str, set[str]] = {}
    for user, anon in pairs.filter(_ANON.is_in(theirs.implode())).select("user_key", "anon_key").iter_rows():
        users.setdefault(anon, set()).add(user)
    alone = {anon: frozenset(of) for anon, of in users.items() if of <= set(asked)}
    made_with: dict[str, set[str]] = {}
    beside = pairs.filter(_ANON.is_in(erased.implode()), ~_USER.is_in(erased.implode()))
    for user, anon in beside.select("user_key", "anon_key").iter_rows():
        made_with.setdefault(user, set()).add(anon)
    return Gone(
        frozenset(asked),
        alone,
        frozenset(users.keys() - alone.keys() - set(asked)),
        {user: frozenset(of) for user, of in made_with.items()},
    )


def touched(table: Table, who: Gone) -> pl.Expr:
    """Whether a row of ``table`` has to go or to change."""
    keys = pl.Series(sorted(who.keys), dtype=pl.String).implode()
    wrong = pl.any_horizontal(pl.col(name).is_in(keys) for name in person_columns(table))
    if table.partition == "as_of" and "person_key" in table.columns and table.name != USERS.name:  # made of events
        wrong |= _PERSON.is_in(pl.Series(sorted(who.made_with), dtype=pl.String).implode())
    return wrong.fill_null(False)


def without(frame: pl.DataFrame, table: Table, who: Gone) -> tuple[pl.DataFrame, dict[str, int]]:
    """``frame`` of ``table`` without ``who``, and how many rows went or changed, by the key that they were about.

    A known user's row stays when only the anonymous key in it was erased, and loses that key.
    """
    keys = pl.Series(sorted(who.keys), dtype=pl.String).implode()
    counts = frame.filter(touched(table, who)).group_by(_about(table, keys).alias("_key")).len()
    told = {key: rows for key, rows in counts.iter_rows() if key is not None}
    if not told:
        return frame, {}
    if "person_key" in table.columns:
        return frame.filter(~touched(table, who)), told
    if table.name == IDENTITIES.name:
        shared = pl.Series(sorted(who.shared), dtype=pl.String).implode()
        left = pl.when(_USER.is_in(keys) & _ANON.is_in(shared)).then(None).otherwise(_USER)
        rows = frame.filter(~_ANON.is_in(keys)).with_columns(left.alias("user_key"))
        dates = pl.col("first_seen_date").min(), pl.col("last_seen_date").max()
        rows = rows.filter(~_USER.is_in(keys).fill_null(False)).group_by("anon_key", "user_key").agg(*dates)
        return rows.select(frame.columns).sort("anon_key", "user_key"), told
    rows = frame.filter(~pl.coalesce(*person_columns(table)).is_in(keys).fill_null(False))
    if "anon_key" in table.columns:
        rows = rows.with_columns(pl.when(~_ANON.is_in(keys)).then(_ANON).alias("anon_key"))
    return rows, told


def _about(table: Table, keys: pl.Series) -> pl.Expr:
    """The key for which a touched row is touched."""
    names = person_columns(table)
    found = [pl.when(pl.col(name).is_in(keys)).then(pl.col(name)) for name in names]
    return pl.coalesce(*found, *names)


def keys_of(frame: pl.DataFrame, names: Collection[str]) -> set[str]:
    """Every key in the columns ``names``."""
    return {key for name in names for key in frame[name].drop_nulls().unique().to_list()}


def marked(keys: Collection[str], marks: Collection[str], mark: Callable[[str], str]) -> set[str]:
    """Those of ``keys`` whose mark is among ``marks``."""
    return {key for key in keys if mark(key) in marks} if marks else set()
