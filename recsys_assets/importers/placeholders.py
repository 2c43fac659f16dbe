"""The table `[ids]` of a mapping file: what is no id, and what looks as if a program had changed it."""

from typing import Literal

import polars as pl

from recsys_assets.contract import FIELDS, Kind
from recsys_assets.importers.section import Section

PLACEHOLDERS = (
    "undefined", "null", "none", "nil", "nan", "n/a", "\\n", "(null)", "(none)", "(not set)", "[object object]",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
GUESTS = ("0", "-1")  # of people alone: a product may be called so
_PEOPLE = ("user_id", "anon_id")
_DECIMAL, _SCIENTIFIC = r"^\d+\.0+$", r"^\d(\.\d+)?[eE]\+?\d+$"
_FORMULA = r"""^(=?"+.*"+|='.*|'.*)$"""


class Ids(Section):
    """``placeholders`` are nobody, in any case; None: those above. ``trim`` cuts blanks at the ends of ids.

    ``trailing_zero`` cuts the .0 of 17850.0: "auto" does where every id of the column is a number with decimals.
    """

    placeholders: tuple[str, ...] | None = None
    trim: bool = False
    trailing_zero: Literal["auto", "cut", "keep"] = "auto"

    def words(self, field: str) -> tuple[str, ...]:
        """Placeholders of one field."""
        if self.placeholders is not None:
            return tuple(word.lower() for word in self.placeholders)
        return PLACEHOLDERS + (GUESTS if field in _PEOPLE else ())

    def read(self, frame: pl.DataFrame, kind: Kind) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """``frame`` without placeholders, and what is to be said of its ids."""
        said = list[str]()
        for field in FIELDS[kind]:
            if field.type == "id" and field.name in frame.columns and frame[field.name].dtype == pl.String:
                made, more = self._read(frame[field.name], field.name)
                frame = frame.with_columns(made)
                said += more
        return frame, tuple(said)

    def _read(self, ids: pl.Series, name: str) -> tuple[pl.Series, list[str]]:
        said = list[str]()
        bare = ids.str.strip_chars()
        if blanks := int((ids != bare).sum()):
            what = "were cut: [ids] trim" if self.trim else "keep them apart; [ids] trim = true cuts them"
            said.append(f"{name}: blanks at an end of {_ids(blanks)} {what}")
        ids = bare.zip_with(bare != "", ids) if self.trim else ids
        low = bare.str.to_lowercase()
        nobody = low.is_in(list(self.words(name))).fill_null(False)
        if nobody.any():
            counts = low.filter(nobody).value_counts(sort=True).rows()
            words = ", ".join(f"{word} {count:,}" for word, count in counts)
            what = {"product_id": "no product"}.get(name, "nobody" if name in _PEOPLE else "no id")
            said.append(f"{name}: {_ids(int(nobody.sum()))} are placeholders, and {what}: {words}")
            ids = ids.zip_with(~nobody, ids.clear(1))
        decimal, scientific = ids.str.contains(_DECIMAL), ids.str.contains(_SCIENTIFIC)
        if ending := int(decimal.sum()):
            every = bool((decimal | scientific).drop_nulls().all())
            cut = self.trailing_zero == "cut" or (self.trailing_zero == "auto" and every)
            said.append(
                f"{name}: {_ids(ending)} end in .0, as numbers with decimals do: "
                + ("read without it" if cut else 'kept; [ids] trailing_zero = "cut" reads them without it')
            )
            ids = ids.str.replace(r"^(\d+)\.0+$", "$1") if cut else ids
        if lossy := int(scientific.sum()):
            said.append(f"{name}: {_ids(lossy)} are in scientific notation, which many ids share: export them as text")
        if formulas := int(ids.str.contains(_FORMULA).sum()):
            said.append(f"{name}: {_ids(formulas)} are written as a spreadsheet's text (=\"7\" or '7), and kept so")
        return ids, said


def _ids(count: int) -> str:
    return f"{count:,} ids"
