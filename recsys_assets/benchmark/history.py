"""A shop's files → clean events and a catalogue, without a home, a lake or a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.benchmark.outcome import Progress
from recsys_assets.errors import SourceError
from recsys_assets.identity import KeyRing
from recsys_assets.importers import IMPORTERS, complete_journey, online_retail
from recsys_assets.importers.auto import recognise
from recsys_assets.importers.base import Piece, Raw
from recsys_assets.logic.catalog import catalog
from recsys_assets.logic.events import clean
from recsys_assets.logic.identities import identities, merged
from recsys_assets.logic.landing import LandingRules, as_time, land
from recsys_assets.logic.outliers import usable
from recsys_assets.tables import LANDING_CATALOG, LANDING_EVENTS, LANDING_RATES
from recsys_assets.tuning import Tuning

ZONES = {"complete_journey": complete_journey.SHOP_ZONE, "online_retail": online_retail.ZONE}  # else UTC
_CURRENCY = "EUR"  # where no row names one
# Keys are only used inside of one run, and the same file has to give the same figures every time.
KEYS = KeyRing(b"a benchmark publishes nothing")


@dataclass(frozen=True)
class History:
    """What a shop knows: tables CLEAN_EVENTS and LANDING_CATALOG of all days, and the base currency."""

    events: pl.DataFrame
    landed: pl.DataFrame
    rates: pl.DataFrame
    currency: str

    @property
    def first(self) -> date:
        """Day of the oldest event."""
        day = self.events["event_date"].min()
        assert isinstance(day, date)
        return day

    @property
    def last(self) -> date:
        """Day of the newest event."""
        day = self.events["event_date"].max()
        assert isinstance(day, date)
        return day

    def people(self, cutoff: date, tuning: Tuning) -> pl.DataFrame:
        """The events, with what was done before a login under the user, as far as it was known at ``cutoff``."""
        return merged(self.events, identities(self.events, cutoff, tuning.window_days))

    def catalog(self, day: date) -> pl.DataFrame:
        """Table CATALOG as the shop had it on ``day``."""
        return catalog(self.landed, self.events, day, self.rates, self.currency)

    def descriptions(self) -> pl.DataFrame:
        """Table CATALOG of all days with no price: what a product is, not when it was sold or for how much."""
        return self.catalog(self.last).with_columns(
            pl.lit(None, dtype=pl.Int64).alias(name) for name in ("unit_price_micros", "list_price_micros")
        )


def read_history(
    paths: list[str], *, mapping: Path | None, now: datetime, tuning: Tuning, progress: Progress
) -> History:
    """Files of any format that the importers know, as the platform would land and clean them.

    Args:
        paths: files, folders or globs, or the word ``package``; events, and a catalogue beside them.
        mapping: a mapping file for the first path; without one the format is told by the columns.
        now: rows after it are refused.
        tuning: ``search_term_floor`` is read.
        progress: called with one line per step.

    Raises:
        SourceError: a file cannot be read, is of no known format, or no event is left.
    """
    raws = [read for place, path in enumerate(paths) for read in _read(path, None if place else mapping, progress)]
    return as_landed(raws, now=now, tuning=tuning, progress=progress, what=", ".join(paths))


def _read(path: str, mapping: Path | None, progress: Progress) -> list[tuple[str, Raw]]:
    found: list[tuple[str, Piece]] = (
        recognise(path, progress)
        if mapping is None
        else [("mapped", piece) for piece in IMPORTERS["mapped"].pieces(path)]
    )
    return [(name, IMPORTERS[name].read(piece, mapping, None)) for name, piece in found]


def as_landed(raws: list[tuple[str, Raw]], *, now: datetime, tuning: Tuning, progress: Progress, what: str) -> History:
    """Rows as read → `History`.

    Raises:
        SourceError: there is no event, or cleaning leaves none; ``what`` is what the message calls the files.
    """
    events = [(name, raw) for name, raw in raws if raw.kind == "events"]
    if not events:
        raise SourceError(f"{what}: there are no events in it, only {', '.join(sorted({raw.kind for _, raw in raws}))}")
    zone = ZONES.get(events[0][0], "UTC")
    times = as_time(pl.concat([raw.frame["event_time"] for _, raw in events]), ZoneInfo(zone)).drop_nulls()
    if times.is_empty():
        raise SourceError(f"{what}: no event has a time that can be read")
    oldest = times.dt.convert_time_zone(zone).dt.date().min()
    assert isinstance(oldest, date)
    currency = _currency(raws)
    rules = LandingRules(KEYS, oldest, zone, currency, now, tuning.search_term_floor, oldest)
    landed = {
        table.name: pl.concat(
            [table.empty()]
            + [land(raw.frame, raw.kind, f"{place}", rules) for place, (_, raw) in enumerate(raws) if raw.kind == kind]
        )
        for kind, table in (("events", LANDING_EVENTS), ("catalog", LANDING_CATALOG), ("rates", LANDING_RATES))
    }
    rates = landed[LANDING_RATES.name]
    made = clean(landed[LANDING_EVENTS.name], rates, currency)
    progress(f"{made.clean.height:,} events are clean, {made.rejected.height:,} rejected; days of {zone}, {currency}")
    if made.clean.is_empty():
        reasons = ", ".join(made.rejected["reason"].unique().sort())
        raise SourceError(f"{what}: cleaning leaves no event ({reasons}); `recsys ingest --check` shows the rows")
    return History(usable(made.clean.lazy()).collect(), landed[LANDING_CATALOG.name], rates, currency)


def _currency(raws: list[tuple[str, Raw]]) -> str:
    """The one that most rows name."""
    named = [raw.frame["currency"].cast(pl.String) for _, raw in raws if "currency" in raw.frame.columns]
    counted = pl.concat(named).drop_nulls().str.strip_chars().str.to_uppercase().value_counts() if named else None
    if counted is None or counted.is_empty():
        return _CURRENCY
    most: str = counted.sort("count", "currency", descending=[True, False])["currency"][0]
    return most
