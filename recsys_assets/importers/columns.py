"""A Parquet file's columns → what landing takes: text, numbers, truth values, times."""

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from recsys_assets.contract import Field
from recsys_assets.errors import SourceError
from recsys_assets.logic.landing import as_time


def as_field(series: pl.Series, field: Field, path: Path, zone: ZoneInfo | None = None) -> pl.Series:
    """``series`` in a dtype that landing parses.

    Raises:
        SourceError: a list or structure stands where one value belongs.
    """
    if series.dtype == pl.Binary:  # text of a writer that does not mark it as such
        return _decoded(series)
    dtype = series.dtype
    if (field.type == "time" and dtype.is_temporal()) or (field.type == "day" and dtype in (pl.Date, pl.Datetime)):
        return as_time(series, zone) if field.type == "time" else series.dt.strftime("%Y-%m-%d")
    if isinstance(dtype, pl.Struct) and field.type == "object":
        return series.struct.json_encode()
    if isinstance(dtype, (pl.List, pl.Array)) and field.type == "list":
        texts = [None if words is None else json.dumps(words, ensure_ascii=False) for words in series.to_list()]
        return pl.Series(series.name, texts, dtype=pl.String)
    if dtype.is_nested() or dtype == pl.Object or (dtype.is_temporal() and field.type != "time"):
        raise SourceError(
            f"{path}: the column {series.name} is {dtype}, and {field.name} is of type {field.type}. Write it as text."
        )
    if field.type == "id" and dtype.is_float():
        return _whole(series)
    return series.cast(pl.String, strict=False) if dtype not in (pl.String, pl.Boolean) else series


def _whole(series: pl.Series) -> pl.Series:
    """Ids that became floats because some were missing, as pandas does: 17850.0 is the id 17850."""
    series = series.fill_nan(None)
    integers = series.cast(pl.Int64, strict=False)
    return (integers if (integers == series).fill_null(True).all() else series).cast(pl.String)


def undecodable(series: pl.Series) -> pl.Series:
    """Rows of a Binary column that are not UTF-8."""
    return series.is_not_null() & _decoded(series).is_null()


def _decoded(series: pl.Series) -> pl.Series:
    def text(raw: bytes | None) -> str | None:
        try:
            return None if raw is None else raw.decode()
        except UnicodeDecodeError:
            return None

    return pl.Series(series.name, [text(raw) for raw in series.to_list()], dtype=pl.String)
