"""Rows on their way into the lake, without those of people who were erased: what the shop sends again stays out."""

import polars as pl

from recsys_assets.columns import KEY
from recsys_assets.identity import KeyRing
from recsys_assets.logic.erasure import PAIRED, PERSONAL, gone, keys_of, marked, person_columns, without
from recsys_assets.stores.lake import Lake, Tombstones
from recsys_assets.tables import LANDING_EVENTS, Table

_NO_PAIRS = pl.DataFrame(schema={"user_key": KEY, "anon_key": KEY})


def without_erased(
    lake: Lake, keys: KeyRing, table: Table, landed: pl.DataFrame, *, check: bool
) -> tuple[pl.DataFrame, Tombstones]:
    """``landed`` rows of ``table`` that may stay, and all tombstones, those of keys that go with them too.

    A late file may be the first that shows an erased person on a device. Then the device is buried here, and the next
    sweep takes what has landed of it before.

    Args:
        lake: is asked for tombstones, and for other users of such devices.
        keys: the home's.
        table: of which ``landed`` is.
        landed: rows.
        check: nothing is written.
    """
    stones, mark = lake.tombstones(), keys.mark
    if table not in PERSONAL or not stones.erased:
        return landed, stones
    asked = marked(keys_of(landed, person_columns(table)), stones.erased, mark)
    who = gone(_pairs(landed.lazy()) if table in PAIRED else _NO_PAIRS, asked)
    if who.with_users or who.shared:
        devices = pl.Series(sorted(who.with_users.keys() | who.shared)).implode()
        others = lake.scan(LANDING_EVENTS, lake.days(LANDING_EVENTS)).filter(pl.col("anon_key").is_in(devices))
        who = gone(pl.concat([_pairs(landed.lazy()), _pairs(others)]).unique(), asked)
        new = Tombstones(frozenset(map(mark, who.with_users)), frozenset(map(mark, who.shared)))
        stones = stones | new if check else lake.bury(new)
    return without(landed, table, who)[0], stones


def _pairs(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.select("user_key", "anon_key").drop_nulls().unique().collect()
