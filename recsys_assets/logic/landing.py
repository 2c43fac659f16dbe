"""Raw rows of a delivered file → the landing tables: typed, people as keys, nothing dropped.

What cannot be parsed becomes null and the row's `problem` says so; cleaning rejects it later. Ids, prices and times
are parsed once per distinct value. Decimals are parsed as decimals, so that no price drifts through a binary float.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import FIELDS, MAX_AMOUNT, MAX_QUANTITY, MAX_TEXT, REASONS, Field, Kind, Reason
from recsys_assets.identity import KeyRing, id_problem
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, MICROS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = pl.Datetime("us", "UTC")
_SEPARATOR = "\x1f"
_ORDER = {reason: place for place, reason in enumerate(REASONS)}
_PERSONS = {"user_id": "user_key", "anon_id": "anon_key"}
_ID_REASON: dict[str, Reason] = {"event_id": "event_id_invalid", "product_id": "product_id_invalid",
                                 "user_id": "person_id_invalid", "anon_id": "person_id_invalid"}  # fmt: skip
_DTYPES = LANDING_CATALOG.columns | LANDING_EVENTS.columns
_WORDS = {"true": True, "1": True, "yes": True, "t": True, "false": False, "0": False, "no": False, "f": False}


@dataclass(frozen=True)
class LandingRules:
    """What a home knows about its files. ``undated`` is the day of catalogue rows that name none."""

    keys: KeyRing
    first_day: date
    time_zone: str
    currency: str
    now: datetime
    search_term_floor: int
    undated: date


def parse_time(raw: str, zone: ZoneInfo | None = None) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time, or None; one without offset is local time in ``zone`` (UTC).

    >>> parse_time("1970-01-01T01:00:00+01:00"), parse_time("1970-01-01 00:00:01 UTC"), parse_time("soon")
    (0, 1000000, None)
    """
    try:
        time = datetime.fromisoformat(raw.strip().removesuffix(" UTC"))
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC if zone is None or raw.endswith("UTC") else zone)
        return (time - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _decimal(raw: str) -> Decimal | None:
    if "_" in raw:  # Python's digit grouping, and nobody else's
        return None
    try:
        value = Decimal(raw.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def parse_micros(raw: str) -> int | None:
    """Whole millionths of a decimal number, half to even; None where it is none or beyond `MAX_AMOUNT`.

    >>> parse_micros("2.49"), parse_micros("0.0000005"), parse_micros("1e2"), parse_micros("1,5")
    (2490000, 0, 100000000, None)
    """
    value = _decimal(raw)
    if value is None or not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        return None
    return int((value * MICROS).to_integral_value(ROUND_HALF_EVEN))


def parse_whole(raw: str, limit: int = 2**53) -> int | None:
    """A whole number ("2", "2.0") within ±``limit``, or None."""
    value = _decimal(raw)
    if value is None or not -limit <= value <= limit or value != value.to_integral_value():
        return None
    return int(value)


def _quantity(raw: str) -> int | None:
    return parse_whole(raw, MAX_QUANTITY)


def _finite(raw: str) -> float | None:
    value = _decimal(raw)
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) else None


def _truth(raw: str) -> bool | None:
    return _WORDS.get(raw.strip().lower())


def _words(raw: str) -> list[str] | None:
    if not raw.lstrip().startswith("["):
        return [word.strip() for word in raw.split("|") if word.strip()]
    try:
        words = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return words if all(isinstance(word, str) for word in words) else None


def _json_object(raw: str) -> str | None:
    try:
        return raw if isinstance(json.loads(raw), dict) else None
    except (ValueError, RecursionError):
        return None


_PARSERS: dict[str, tuple[Callable[[str], Any], pl.DataType, Reason]] = {
    "quantity": (_quantity, pl.Int64(), "quantity_unreadable"),
    "integer": (parse_whole, pl.Int64(), "number_unreadable"),
    "number": (_finite, pl.Float64(), "number_unreadable"),
    "boolean": (_truth, pl.Boolean(), "value_malformed"),
    "list": (_words, pl.List(pl.String), "value_malformed"),
    "object": (_json_object, pl.String(), "value_malformed"),
}


def by_value(text: pl.Series, parse: Callable[[str], Any], dtype: pl.DataType) -> pl.Series:
    """``parse`` of every text, called once per distinct one; null stays null."""
    values = text.drop_nulls().unique(maintain_order=True)
    parsed = pl.Series(text.name, [parse(value) for value in values], dtype=dtype)
    places = text.replace_strict(values, pl.int_range(len(values), eager=True), default=None, return_dtype=pl.Int64)
    return parsed.gather(places)


def as_time(series: pl.Series, zone: ZoneInfo | None = None) -> pl.Series:
    """Text or any datetime → Datetime in UTC; null where it cannot be read."""
    if isinstance(series.dtype, pl.Datetime):
        aware = series.dtype.time_zone is not None
        series = series.cast(pl.Datetime("us", series.dtype.time_zone))
        return series.dt.convert_time_zone("UTC") if aware else _local(series, "UTC" if zone is None else str(zone))
    if series.dtype == pl.Date:
        return _local(series.cast(pl.Datetime("us")), "UTC" if zone is None else str(zone))
    return by_value(series.cast(pl.String), lambda raw: parse_time(raw, zone), pl.Int64()).cast(_TIME)


def _local(naive: pl.Series, zone: str) -> pl.Series:
    """Local times → UTC: the earlier one where clocks went back, null where they jumped over it."""
    return naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _only(series: pl.Series, fits: pl.Series) -> pl.Series:
    """``series`` with null where ``fits`` does not hold."""
    return series if fits.all() else series.zip_with(fits.fill_null(False), series.clear(1))


class _Landing:
    """Columns of one file on their way: values, what goes into the row's hash, and what is wrong."""

    def __init__(self, frame: pl.DataFrame, rules: LandingRules) -> None:
        self.frame = frame
        self.rules = rules
        self.values: dict[str, pl.Series] = {}
        self.hashed: dict[str, pl.Series] = {}
        self.bad: list[tuple[Reason, pl.Series]] = []

    def field(self, field: Field) -> None:
        sent = self.frame[field.name] if field.name in self.frame.columns else None
        if sent is None or sent.null_count() == len(sent):
            self._absent(field)
        elif field.type == "time":
            self._time(field, sent)
        elif field.type == "id":
            self._id(field, sent.cast(pl.String))
        else:
            raw = sent.cast(pl.String)
            self._keep(field, raw, *self._parse(field, raw))

    def _absent(self, field: Field) -> None:
        name = _PERSONS.get(field.name, field.name)
        dtype = _DTYPES.get(name) or _DTYPES[f"{name}_micros"]
        self.values[name] = pl.Series(name, [None], dtype=dtype).new_from_index(0, self.frame.height)
        if field.name == "event_time":
            self.bad.append(("event_time_missing", self.values[name].is_null()))

    def _keep(self, field: Field, raw: pl.Series, values: pl.Series, reason: Reason) -> None:
        self.values[field.name] = values
        self.bad.append((reason, raw.is_not_null() & values.is_null()))
        known = raw if values.dtype in (pl.List(pl.String), pl.Boolean) else values.cast(pl.String)
        self._hash(field.name, known.zip_with(known.is_not_null(), raw))

    def _hash(self, name: str, text: pl.Series) -> None:
        if text.str.contains(_SEPARATOR, literal=True).any():
            text = text.str.replace_all(_SEPARATOR, _SEPARATOR * 2, literal=True)
        self.hashed[name] = text.alias(name)

    def _parse(self, field: Field, raw: pl.Series) -> tuple[pl.Series, Reason]:
        match field.type:
            case "money":
                infinite = raw.str.contains(r"(?i)^\s*[+-]?(nan|inf|infinity)\s*$").fill_null(False)
                self.bad.append(("price_not_finite", infinite))
                return by_value(raw, parse_micros, pl.Int64()), "price_unreadable"
            case "currency":
                return raw.str.strip_chars().str.to_uppercase(), "currency_unknown"
            case "integer" | "number" | "boolean" | "list" | "object":
                parse, dtype, reason = _PARSERS["quantity" if field.name == "quantity" else field.type]
                return by_value(raw, parse, dtype), reason
            case _:
                text = raw.str.replace(r"(?s)[?#].*$", "") if field.name == "referrer" else raw
                fits = (text.str.len_chars() <= MAX_TEXT) & ~text.str.contains("\x00", literal=True)
                return _only(text, fits), "text_invalid"

    def _id(self, field: Field, raw: pl.Series) -> None:
        strange = [value for value in raw.drop_nulls().unique() if id_problem(value)]
        valid = ~raw.is_in(strange)
        self.bad.append((_ID_REASON.get(field.name, "other_id_invalid"), (~valid).fill_null(False)))
        keys = self.rules.keys
        make = {"user_id": keys.user_key, "anon_id": keys.anon_key, "session_id": keys.session_key}.get(field.name)
        if make is None:
            self.values[field.name] = _only(raw, valid)
            self._hash(field.name, raw)
            return
        keyed = by_value(raw, make, pl.String())  # of an invalid id too: it tells rows apart and is not kept
        self.values[_PERSONS.get(field.name, field.name)] = _only(keyed, valid)
        self._hash(field.name, keyed)

    def _time(self, field: Field, sent: pl.Series) -> None:
        time = as_time(sent)
        self.values[field.name] = time
        missing, unreadable = sent.is_null(), sent.is_not_null() & time.is_null()
        if field.name == "event_time":
            self.bad += [("event_time_missing", missing), ("event_time_unreadable", unreadable)]
            self.bad.append(("event_time_before_first_day", (self.days(time) < self.rules.first_day).fill_null(False)))
            self.bad.append(("event_time_in_future", self.future(time)))
        else:
            self.bad += [("updated_at_unreadable", unreadable), ("updated_at_in_future", self.future(time))]
        us = time.cast(pl.Int64).cast(pl.String)
        self._hash(field.name, us.zip_with(us.is_not_null(), sent.cast(pl.String)))

    def future(self, time: pl.Series) -> pl.Series:
        return (time > self.rules.now + timedelta(days=1)).fill_null(False)

    def days(self, time: pl.Series) -> pl.Series:
        return time.dt.convert_time_zone(self.rules.time_zone).dt.date()

    def hashes(self) -> pl.Series:
        """Keyed, as people's keys are: whoever holds the lake cannot find a searched text by trying words."""
        columns = pl.DataFrame([*self.hashed.values(), self.frame["_line"]])
        parts = [pl.lit(f"{name}=") + pl.col(name) for name in columns.columns]
        texts = columns.select(pl.concat_str(parts, separator=_SEPARATOR, ignore_nulls=True)).to_series()
        key = hashlib.sha256(b"row\x00" + self.rules.keys.secret).digest()
        blake = hashlib.blake2b
        return pl.Series("row_hash", [blake(t.encode(), digest_size=16, key=key).hexdigest() for t in texts.to_list()])


def land(frame: pl.DataFrame, kind: Kind, source_file: str, rules: LandingRules) -> pl.DataFrame:
    """Rows of one file as LANDING_EVENTS or LANDING_CATALOG, one for one, ordered by day and line.

    ``frame`` is what an importer read: contract columns as text or natural dtype, and its `RAW_COLUMNS`. A row
    without a usable day goes to the first usable day of the file, else to the home's first day. An event without id
    gets its row's hash and the count of that hash in the file, so that neither the order of the lines nor another
    delivery changes it.
    """
    landing = _Landing(frame, rules)
    for field in FIELDS[kind]:
        landing.field(field)
    problems = [pl.when(mask).then(pl.lit(reason)) for reason, mask in sorted(landing.bad, key=lambda b: _ORDER[b[0]])]
    out = pl.DataFrame([series.alias(name) for name, series in landing.values.items()]).with_columns(
        pl.col("unit_price").alias("unit_price_micros"),
        pl.col("list_price").alias("list_price_micros"),
        pl.lit(source_file).alias("source_file"),
        frame["source_line"],
        frame["source_offset"],
        landing.hashes(),
        pl.coalesce(frame["problem"], *problems).alias("problem"),
    )
    priced = pl.col("unit_price_micros").is_not_null() | pl.col("list_price_micros").is_not_null()
    late: list[tuple[pl.Expr, Reason]] = [(priced & (pl.col("currency") != rules.currency), "currency_unknown")]
    if kind == "catalog":
        late = [(pl.col("product_id").is_null(), "product_missing"), *late, *out_of_bounds("catalog")]
    out = out.with_columns(
        pl.coalesce("problem", *(pl.when(wrong).then(pl.lit(reason)) for wrong, reason in late)).alias("problem"),
        pl.col("currency").fill_null(rules.currency),
    )
    return _catalog(out, landing, rules) if kind == "catalog" else _events(out, landing, rules)


def out_of_bounds(kind: Kind) -> list[tuple[pl.Expr, Reason]]:
    """Conditions on landed columns under which a number lies outside the contract's bounds, and the reason of each."""
    prices: list[tuple[pl.Expr, Reason]] = [
        (pl.col(f"{name}_micros") < 0, "price_negative") for name in ("unit_price", "list_price")
    ]
    numbers: list[tuple[pl.Expr, Reason]] = [
        (
            ~pl.col(f.name).is_between(f.low, f.high),
            "rating_out_of_range" if f.name == "rating" else "number_out_of_range",
        )
        for f in FIELDS[kind]
        if f.type in ("integer", "number") and f.name != "quantity" and f.low is not None and f.high is not None
    ]
    return [*prices, *sorted(numbers, key=lambda n: _ORDER[n[1]])]


def _place(out: pl.DataFrame, day: pl.Series, usable: pl.Series, first_day: date) -> pl.DataFrame:
    first = day.filter(usable).min()
    fallback = first if isinstance(first, date) else first_day
    event_date = day.zip_with(usable, pl.Series([fallback], dtype=pl.Date).new_from_index(0, len(day)))
    out = out.with_columns(event_date.alias("event_date"))
    return out if event_date.is_sorted() else out.sort("event_date", maintain_order=True)


def _catalog(out: pl.DataFrame, landing: _Landing, rules: LandingRules) -> pl.DataFrame:
    time = out["updated_at"]
    day = landing.days(time)
    day = pl.select(pl.max_horizontal(day.fill_null(rules.undated), pl.lit(rules.first_day))).to_series()
    return LANDING_CATALOG.conform(_place(out, day, ~landing.future(time), rules.first_day))


def _events(out: pl.DataFrame, landing: _Landing, rules: LandingRules) -> pl.DataFrame:
    time = out["event_time"]
    day = landing.days(time)
    usable = (day >= rules.first_day).fill_null(False) & ~landing.future(time)
    out = _place(out, day, usable, rules.first_day)
    count = pl.int_range(1, pl.len() + 1).over("row_hash").cast(pl.String)
    out = out.with_columns(pl.coalesce("event_id", pl.concat_str("row_hash", pl.lit("-"), count)).alias("event_id"))
    if out["query"].null_count() < out.height:
        # What one person typed may name them; what many typed does not.
        people = pl.coalesce("user_key", "anon_key").drop_nulls().n_unique().over("query")
        out = out.with_columns(pl.when(people >= rules.search_term_floor).then("query").alias("query"))
    return LANDING_EVENTS.conform(out)
