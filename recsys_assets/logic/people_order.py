"""People and visits in an order that no secret has a part in, so that two homes with the same files get equal figures.

Keys are an HMAC under the home's secret: to order people by key is to shuffle them anew in every home. Samples, folds,
resampling and sums of floats then differ from home to home. So where figures are made, people are called by a number,
and numbers follow what people did: a hash of all that models look at of each event, summed over the person's events.
Whoever did exactly the same is interchangeable. Nothing of it is stored. Events' own ids do not serve: where a shop
sends none they are keyed too. An unkeyed hash of the shop's ids would let whoever holds a list of ids find the people.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
_KEYS = ("user_key", "anon_key", "session_id")
_TEXTS = ("event_type", "product_id")
_NUMBERS = ("quantity", "unit_price_micros")
_WIDTH = 10  # digits: numbers as texts are in the order of numbers


def mixed(values: Hashes) -> Hashes:
    """Every bit of a result depends on every bit of its value (Vigna 2015, splitmix64); the same on any machine."""
    made = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        made = (made ^ (made >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(made ^ (made >> np.uint64(31)), dtype=np.uint64)


def numbers(events: pl.DataFrame) -> pl.DataFrame:
    """A number for each key of a person, known or anonymous, and for each key of a session: ``_key``, ``_number``.

    Args:
        events: table CLEAN_EVENTS, before links between keys are known: links change from one past day to another.
    """
    person = pl.coalesce("user_key", "anon_key")
    hashes = _hashes(events.with_columns(_beside=pl.len().over(person, "order_id")))
    told = events.select(*_KEYS).with_columns(  # halves, because sums of whole ones would overflow
        pl.Series("_low", hashes & np.uint64(0xFFFFFFFF)), pl.Series("_high", hashes >> np.uint64(32))
    )
    return (
        pl.concat(
            told.group_by(pl.col(name).alias("_key"))
            .agg(pl.col("_low", "_high").sum())
            .with_columns(_kind=pl.lit(kind))
            for kind, name in enumerate(_KEYS)
        )
        .drop_nulls("_key")
        .sort("_low", "_high", "_kind", "_key")
        .select("_key", pl.int_range(pl.len()).cast(pl.String).str.zfill(_WIDTH).alias("_number"))
    )


def called_by_number(
    events: pl.DataFrame, numbered: pl.DataFrame, names: Sequence[str] = ("user_key", "anon_key", "session_id")
) -> pl.DataFrame:
    """``events`` in their order, with numbers in place of the keys of the columns ``names``.

    Numbers of sessions matter too: they tell visits apart that begin at the same moment.

    Args:
        events: table CLEAN_EVENTS, or what models see of it.
        numbered: `numbers` of the same events, or of more.
        names: which columns.
    """
    return events.with_columns(
        events.select(_key=pl.col(name))
        .join(numbered, on="_key", how="left", maintain_order="left")["_number"]
        .alias(name)
        for name in names
    )


def _hashes(events: pl.DataFrame) -> Hashes:
    """One per event: what was done with which product, when, how often, at what price, and in how large an order."""
    made = mixed(events["event_time"].to_physical().to_numpy().astype(np.int64).view(np.uint64))
    for name in (name for name in (*_NUMBERS, "_beside") if name in events.columns):
        values = events[name].cast(pl.Int64).fill_null(-1).to_numpy().view(np.uint64)
        made = mixed(made ^ mixed(values))
    for name in _TEXTS:
        texts = events[name].unique().to_frame()
        digests = [
            int.from_bytes(hashlib.blake2b((text or "").encode(), digest_size=8).digest()) for text in texts[name]
        ]
        told = texts.with_columns(pl.Series("_told", digests, dtype=pl.UInt64))
        found = events.select(name).join(told, on=name, how="left", nulls_equal=True, maintain_order="left")
        made = mixed(made ^ found["_told"].to_numpy())
    return made
