"""The table `[numbers]` of a mapping file: how a file writes amounts."""

import re
from collections.abc import Callable
from typing import Any, Literal

import polars as pl
from pydantic import model_validator

from recsys_assets.importers.section import Section
from recsys_assets.logic.landing import by_value

_UNREADABLE = "unreadable: "  # before a text that must not be read in another way
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LIKE = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}  # what stands for one character of grouping


class Numbers(Section):
    """How numbers are written. Groups are of three digits; ``symbols`` may stand before or behind a number."""

    decimal: Literal[".", ","] = "."
    grouping: Literal["", ".", ",", " ", "'"] = ""
    symbols: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_old(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "decimal_comma" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "decimal_comma"}
        if not isinstance(values["decimal_comma"], bool) or rest.keys() & {"decimal", "grouping"}:
            raise ValueError('decimal_comma is true or false, and in place of decimal = "," and grouping = "."')
        return rest | ({"decimal": ",", "grouping": "."} if values["decimal_comma"] else {})

    @model_validator(mode="after")
    def _apart(self) -> "Numbers":
        if self.decimal == self.grouping:
            raise ValueError(f"decimal and grouping are both {self.decimal!r}")
        if any(not symbol.strip() or re.search(r"[\d.,+-]", symbol) for symbol in self.symbols):
            raise ValueError("symbols are words or signs such as € and EUR, without digits, points and commas")
        return self

    def described(self) -> str | None:
        """For people; None where numbers are as the contract has them."""
        if self == Numbers():
            return None
        groups = f", groups of three between {self.grouping!r}" if self.grouping else ""
        beside = f", beside {' or '.join(self.symbols)}" if self.symbols else ""
        return f"numbers have the decimal sign {self.decimal!r}{groups}{beside}"

    def plain(self, series: pl.Series) -> pl.Series:
        """Numbers as the contract has them; other texts become such as nothing reads as a number."""
        if self == Numbers() or series.dtype != pl.String:
            return series
        return by_value(series, self._reader(), pl.String())

    def _reader(self) -> Callable[[str], str]:
        group = _LIKE.get(self.grouping, re.escape(self.grouping))
        whole = rf"\d{{1,3}}(?:{group}\d{{3}})+|\d+" if self.grouping else r"\d+"
        number = re.compile(rf"({whole})?(?:{re.escape(self.decimal)}(\d+))?((?:[eE][+-]?\d+)?)")
        marks = sorted((symbol.strip() for symbol in self.symbols), key=len, reverse=True)
        sign = re.compile("|".join(["([+\u2212-])", *map(re.escape, marks)]))
        behind = re.compile(f"\\s*(?:{'|'.join(map(re.escape, marks))})$") if marks else None

        def read(raw: str) -> str:
            text, minus = raw.strip(), ""
            if _NOT_FINITE.fullmatch(text):
                return text
            text = behind.sub("", text) if behind else text
            for _ in range(2):  # a sign and a symbol, in either order
                if found := sign.match(text):
                    minus = "-" if found[1] in ("-", "\u2212") else minus
                    text = text[found.end() :].lstrip()
            found = number.fullmatch(text)
            if found is None or not (found[1] or found[2]):
                return _UNREADABLE + raw
            digits = re.sub(r"\D", "", found[1] or "0")
            return f"{minus}{digits}.{found[2] or '0'}{found[3]}"

        return read
