"""The table `[time]` of a mapping file: how a file writes moments, known before the first row is read."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
from pydantic import field_validator

from recsys_assets.importers.section import Section
from recsys_assets.logic.landing import as_time, by_value

_TIME = pl.Datetime("us", "UTC")
_EPOCHS = {
    "epoch_seconds": Decimal(1_000_000),
    "epoch_milliseconds": Decimal(1_000),
    "epoch_microseconds": Decimal(1),
    "epoch_nanoseconds": Decimal("0.001"),
}
WORDS = ("iso", *_EPOCHS, "excel")
_LAST = 253_402_300_799 * 1_000_000  # of the year 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXCEL = datetime(1899, 12, 30, tzinfo=UTC)
_EXCEL_DAYS = (61, 2_958_466)  # before 1 March 1900 its days are one off
_DIGITS = re.compile(r"[+-]?\d+(\.\d+)?")  # no exponent: that has lost digits
_SHORT = {
    "%T": "%H:%M:%S", "%F": "%Y-%m-%d", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d", "%h": "%b", "%k": "%H", "%l": "%I",
    "%P": "%p", "%:z": "%z",
}  # fmt: skip
_FRACTION = re.compile(r"%(\.?)[369]?f")  # as other programs write %f
_PADDED = re.compile(r"%[-_0](?=[A-Za-z])")
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")  # nanoseconds
_LETTERS = set("YymbBdjHIMSpfzaA")
_DOUBTFUL = re.compile(r"%[dm][/-]%[dm]")  # with points the day is first, and behind a year the month
_FAST = set("YmdHMS")  # what polars reads as strptime does


class Time(Section):
    """How times are written, in one form or several."""

    format: str | tuple[str, ...] = "iso"
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error
        return value

    @field_validator("format")
    @classmethod
    def _readable(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        forms = (value,) if isinstance(value, str) else value
        for form in forms:
            if why := _problem(form):
                raise ValueError(f"{form!r} {why}")
        if not forms:
            raise ValueError("no form is named")
        return value

    @property
    def forms(self) -> tuple[str, ...]:
        """All of them."""
        return (self.format,) if isinstance(self.format, str) else self.format

    def read(self, series: pl.Series, zone: ZoneInfo) -> pl.Series:
        """Moments in UTC; null where no form reads a text, or two read it as different ones."""
        if series.dtype.is_temporal():
            return series
        text = series.cast(pl.String).str.strip_chars()
        made = _read(text, self.forms[0], zone)
        torn = pl.Series([False]).new_from_index(0, len(text))
        for form in self.forms[1:]:
            other = _read(text, form, zone)
            torn = torn | (made != other).fill_null(False)
            made = made.zip_with(made.is_not_null(), other)
        return made.zip_with(~torn, made.clear(1))

    def exchanged(self, series: pl.Series, made: pl.Series, name: str) -> tuple[str, ...]:
        """What is to be said of times that fit with day and month exchanged."""
        if series.dtype.is_temporal():
            return ()
        text, said = series.cast(pl.String).str.strip_chars(), list[str]()
        for form in self.forms:
            other = _exchange(form)
            if other is None or other in self.forms:
                continue
            zone = ZoneInfo(self.zone)
            fits, as_said = _read(text, other, zone), _read(text, form, zone)
            lost, both = text.is_not_null() & made.is_null(), fits.is_not_null() & as_said.is_not_null()
            differ = int((both & (fits != as_said)).sum())
            if found := int((lost & fits.is_not_null()).sum()):
                said.append(
                    f"{name}: {found:,} of {int(lost.sum()):,} times that cannot be read fit {other}, with day and "
                    f"month exchanged; {differ:,} that were read fit it too. Check [time] format"
                )
            elif _DOUBTFUL.match(form) and differ and int(both.sum()) == int(as_said.is_not_null().sum()):
                said.append(f"{name}: every time fits {other} too, with day and month exchanged. Check [time] format")
        return tuple(said)


def _problem(form: str) -> str | None:
    """Why a form is refused."""
    if form in WORDS:
        return None
    if "%" not in form:
        return f"is no form of times; known are {', '.join(WORDS)}, and strptime's letters such as %d.%m.%Y %H:%M"
    letters = re.findall(r"%(.)", _long(form).replace("%%", ""))
    there = set(letters)
    strange = [letter for letter in letters if letter not in _LETTERS]
    faults = (
        (strange == ["s"], "has %s: write epoch_seconds instead"),
        (strange, f"has %{strange[0] if strange else ''}, which is not read alike everywhere"),
        (len(letters) > len(there) or {"H", "I"} <= there or {"y", "Y"} <= there, "says a part of the time twice"),
        (not there & {"Y", "y"}, "lacks the year"),
        ("j" not in there and ("d" not in there or not there & {"m", "b", "B"}), "lacks the month or the day"),
        (
            ("I" in there) != ("p" in there),
            "needs %p (AM or PM) and %I (hours from 1 to 12) together: with %H, PM would be read as AM",
        ),
        (there & {"M", "S", "f"} and not there & {"H", "I"}, "has minutes and no hour"),
    )
    return next((words for holds, words in faults if holds), None)


def _long(form: str) -> str:
    form = _FRACTION.sub(r"\1%f", _PADDED.sub("%", form))
    for short, long in _SHORT.items():
        form = form.replace(short, long)
    return form


def _exchange(form: str) -> str | None:
    """The form with day and month exchanged, where both are numbers."""
    if form in WORDS or not {"%d", "%m"} <= set(re.findall(r"%.", _long(form))):
        return None
    return _long(form).replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")


def _read(text: pl.Series, form: str, zone: ZoneInfo) -> pl.Series:
    if form == "iso":
        return as_time(text, zone)
    if form == "excel":
        return as_time(by_value(text, _excel, pl.Int64()).cast(pl.Datetime("us")), zone)
    if form in _EPOCHS:
        unit = _EPOCHS[form]
        return by_value(text, lambda raw: _epoch(raw, unit), pl.Int64()).cast(_TIME)
    form = _long(form)
    letters = set(re.findall(r"%(.)", form))
    if letters <= _FAST and ("H" in letters) == ("M" in letters) and "Y" in letters:
        return as_time(text.str.to_datetime(form, strict=False, time_unit="us"), zone)
    aware = "z" in letters
    made = by_value(text, lambda raw: _strptime(raw, form), pl.Int64())
    return made.cast(_TIME) if aware else as_time(made.cast(pl.Datetime("us")), zone)


def _epoch(raw: str, unit: Decimal) -> int | None:
    micros = int(Decimal(raw) * unit) if _DIGITS.fullmatch(raw) else None
    return micros if micros is not None and abs(micros) <= _LAST else None


def _excel(raw: str) -> int | None:
    """Microseconds of a serial day, to the millisecond: its fraction is a binary one."""
    days = Decimal(raw) if _DIGITS.fullmatch(raw) else Decimal(0)
    if not _EXCEL_DAYS[0] <= days < _EXCEL_DAYS[1]:
        return None
    return (_EXCEL - _EPOCH) // timedelta(microseconds=1) + round(days * 86_400_000) * 1_000


def _strptime(raw: str, form: str) -> int | None:
    """Microseconds since 1970, of a clock without a zone where the text has no offset."""
    try:
        time = datetime.strptime(_LONG_FRACTION.sub(r"\1", raw), form)  # noqa: DTZ007 — the zone is put on afterwards
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
