"""Raw rows of a delivered file → the landing tables: typed, people as keys, nothing dropped.

What cannot be parsed becomes null and the row's `problem` says so; cleaning rejects it later. Ids, prices and times
are parsed once per distinct value.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import FIELDS, MAX_TEXT, REASONS, Field, Kind, Reason
from recsys_assets.identity import KeyRing, id_problem
from recsys_assets.logic.parsing import PARSERS, impersonal, parse_micros, parse_time
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, LANDING_RATES, LANDING_USERS

_TIME = pl.Datetime("us", "UTC")
_SEPARATOR = "\x1f"
_ORDER = {reason: place for place, reason in enumerate(REASONS)}
_PERSONS = {"user_id": "user_key", "anon_id": "anon_key"}
_ID_REASON: dict[str, Reason] = {"event_id": "event_id_invalid", "product_id": "product_id_invalid",
                                 "user_id": "person_id_invalid", "anon_id": "person_id_invalid"}  # fmt: skip
_DTYPES = LANDING_CATALOG.columns | LANDING_EVENTS.columns | LANDING_USERS.columns | LANDING_RATES.columns


@dataclass(frozen=True)
class LandingRules:
    """What a home knows about its files. ``undated`` is the day of catalogue and users rows that name none.

    ``landed_at``, by default ``now``, puts the files of one command in order.
    """

    keys: KeyRing
    first_day: date
    time_zone: str
    currency: str
    now: datetime
    search_term_floor: int
    undated: date
    landed_at: datetime | None = None


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
        dtype = pl.Date() if field.type == "day" else _DTYPES.get(name) or _DTYPES[f"{name}_micros"]
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
            case "integer" | "number" | "boolean" | "list" | "object" | "day" | "rate":
                parse, dtype, reason = PARSERS["quantity" if field.name == "quantity" else field.type]
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
        made = [blake(t.encode(), digest_size=16, key=key).hexdigest() for t in texts.to_list()]
        return pl.Series("row_hash", made, dtype=pl.String)


def land(frame: pl.DataFrame, kind: Kind, source_file: str, rules: LandingRules) -> pl.DataFrame:
    """Rows of one file as the landing table of their kind, one for one, ordered by day and line.

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
        pl.lit(source_file).alias("source_file"),
        frame["source_line"],
        frame["source_offset"],
        landing.hashes(),
        pl.coalesce(frame["problem"], *problems).alias("problem"),
    )
    match kind:
        case "events":
            return _events(_priced(out, rules), landing, rules)
        case "catalog":
            return _catalog(_priced(out, rules), landing, rules)
        case "rates":
            return _rates(out, rules)
        case "users":
            return _users(out, landing, rules)


def _refuse(out: pl.DataFrame, *wrong: tuple[pl.Expr, Reason]) -> pl.DataFrame:
    """``out`` with the first reason that holds where a row has no problem yet."""
    return out.with_columns(
        pl.coalesce("problem", *(pl.when(holds).then(pl.lit(reason)) for holds, reason in wrong)).alias("problem")
    )


_NO_CODE = ~pl.col("currency").str.contains(r"^[A-Z]{3}$")


def _priced(out: pl.DataFrame, rules: LandingRules) -> pl.DataFrame:
    """Prices as sent, in the currency that was sent: cleaning converts them."""
    out = out.rename({"unit_price": "unit_price_micros", "list_price": "list_price_micros"})
    priced = pl.col("unit_price_micros").is_not_null() | pl.col("list_price_micros").is_not_null()
    return _refuse(out, (priced & _NO_CODE, "currency_unknown")).with_columns(
        pl.col("currency").fill_null(rules.currency)
    )


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


def _from_its_day(out: pl.DataFrame, landing: _Landing, rules: LandingRules) -> pl.DataFrame:
    """Rows on the day from which they hold."""
    time = out["updated_at"]
    day = landing.days(time)
    day = pl.select(pl.max_horizontal(day.fill_null(rules.undated), pl.lit(rules.first_day))).to_series()
    return _place(out, day, ~landing.future(time), rules.first_day)


def _catalog(out: pl.DataFrame, landing: _Landing, rules: LandingRules) -> pl.DataFrame:
    out = _refuse(out, (pl.col("product_id").is_null(), "product_missing"), *out_of_bounds("catalog"))
    out = out.with_columns(_now(rules))
    return LANDING_CATALOG.conform(_from_its_day(out, landing, rules))


def _users(out: pl.DataFrame, landing: _Landing, rules: LandingRules) -> pl.DataFrame:
    out = _refuse(out, (pl.col("user_key").is_null(), "person_missing")).with_columns(
        by_value(out["attributes"], impersonal, pl.String()), _now(rules)
    )
    return LANDING_USERS.conform(_from_its_day(out, landing, rules))


def _rates(out: pl.DataFrame, rules: LandingRules) -> pl.DataFrame:
    """A rate stays on its own day, before the home's first one too: that is the rate of the first days."""
    out = _refuse(
        out,
        (pl.col("date").is_null(), "date_unreadable"),
        (_NO_CODE.fill_null(True), "currency_unknown"),
        (pl.col("rate").is_null(), "rate_unreadable"),
        ((pl.col("currency") == rules.currency) & (pl.col("rate") != "1"), "rate_of_base"),
    ).with_columns(_now(rules))
    return LANDING_RATES.conform(_place(out, out["date"], out["date"].is_not_null(), rules.first_day))


def _now(rules: LandingRules) -> pl.Expr:
    return pl.lit(rules.landed_at or rules.now).dt.convert_time_zone("UTC").cast(_TIME).alias("landed_at")


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
