"""The table `[csv]` of a mapping file: how a file writes its rows."""

import csv
from typing import Any

from pydantic import Field, field_validator, model_validator

from recsys_assets.importers.section import Section

MYSQL_NULL = "\\N"


class Csv(Section):
    """How CSV is written. An empty ``quote`` means that quotes mean nothing; ``delimiter`` None: a comma."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    escape: str = Field("", max_length=1)
    encoding: str = "utf-8"
    comment: str = ""
    skip: int = Field(0, ge=0)
    null: tuple[str, ...] = (MYSQL_NULL,)

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ends = "\n".encode(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is no encoding such as utf-8 or latin-1") from error
        if ends != b"\n":
            raise ValueError(f"{value!r} cannot be read line by line: save the file as UTF-8")
        return value

    @model_validator(mode="after")
    def _apart(self) -> "Csv":
        marks = [mark for mark in (self.cut, self.quote, self.escape) if mark]
        if len(set(marks)) < len(marks) or {"\n", "\r"} & set(marks):
            raise ValueError("delimiter, quote and escape need a character each, and no line end")
        return self

    @property
    def cut(self) -> str:
        """What stands between fields."""
        return self.delimiter or ","

    @property
    def reading(self) -> dict[str, Any]:
        """Keywords of `csv.reader`."""
        if not self.quote:
            return {"delimiter": self.cut, "escapechar": self.escape or None, "strict": True, "quoting": csv.QUOTE_NONE}
        return {"delimiter": self.cut, "escapechar": self.escape or None, "strict": True, "quotechar": self.quote}
