"""The table `[booleans]` of a mapping file: words for yes and no."""

import polars as pl
from pydantic import model_validator

from recsys_assets.importers.section import Section


class Booleans(Section):
    """Words beside those that every file may use, in any case."""

    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> "Booleans":
        if both := sorted(self._words(self.true) & self._words(self.false)):
            raise ValueError(f"{', '.join(both)} cannot mean both true and false")
        return self

    @staticmethod
    def _words(words: tuple[str, ...]) -> set[str]:
        return {word.strip().lower() for word in words}

    def read(self, series: pl.Series) -> pl.Series:
        """The words as true and false; others stay."""
        if series.dtype != pl.String or self == Booleans():
            return series
        known = dict.fromkeys(self._words(self.true), "true") | dict.fromkeys(self._words(self.false), "false")
        meant = series.str.strip_chars().str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.String)
        return meant.zip_with(meant.is_not_null(), series)
