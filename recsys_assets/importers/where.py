"""The table `[where]` of a mapping file: which rows count."""

from typing import Any

import polars as pl
from pydantic import Field, field_validator

from recsys_assets.importers.section import Section

_Words = dict[str, tuple[str, ...]]


class Where(Section):
    """Values by column: of rows to ``keep`` (all others go) and of rows to ``drop``."""

    keep: _Words = Field({})
    drop: _Words = Field({})

    @field_validator("keep", "drop", mode="before")
    @classmethod
    def _as_texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        lists = {column: words if isinstance(words, list) else [words] for column, words in value.items()}
        return {column: tuple(_text(word) for word in words) for column, words in lists.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that decide."""
        return tuple(dict.fromkeys((*self.keep, *self.drop)))

    def described(self) -> tuple[str, ...]:
        """For people."""
        said = [f"only rows of {column} {' or '.join(words)} count" for column, words in self.keep.items()]
        return (*said, *(f"rows of {column} {' or '.join(words)} do not count" for column, words in self.drop.items()))

    def split(self, sent: pl.DataFrame) -> tuple[pl.DataFrame, int, tuple[str, ...]]:
        """Rows that count or could not be read, how many do not, and which words no row has."""
        if not self.columns:
            return sent, 0, ()
        counts = pl.Series([True]).new_from_index(0, sent.height)
        said = list[str]()
        for name, rules, wanted in (("keep", self.keep, True), ("drop", self.drop, False)):
            for column, words in rules.items():
                values = sent[column].cast(pl.String).str.strip_chars().fill_null("")
                counts = counts & (values.is_in(list(words)) == wanted)
                if absent := [word for word in words if not (values == word).any()]:
                    said.append(f"[where] {name}: no row of {column} has {', '.join(map(repr, absent))}")
        kept = sent.filter(counts | sent["problem"].is_not_null())
        return kept, sent.height - kept.height, tuple(said)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
