"""The files of public splits: a few columns of ids, as Parquet or CSV."""

from pathlib import Path

import polars as pl

from recsys_assets.errors import SourceError


def read(path: Path, ids: tuple[str, ...], numbers: tuple[str, ...] = (), lists: tuple[str, ...] = ()) -> pl.DataFrame:
    """The named columns: ids as text, numbers as Int64, lists as lists of text.

    Args:
        path: ``.parquet``, or else text with a header, commas between columns.
        ids: columns of ids; numbers become text.
        numbers: columns that order.
        lists: columns of lists of ids; Parquet only.

    Raises:
        SourceError: the file cannot be read, lacks a column, is empty, or has nulls.
    """
    wanted = (*ids, *numbers, *lists)
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise SourceError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}, "
            f"and this protocol reads {', '.join(wanted)}"
        )
    frame = frame.select(wanted)
    nulls = [name for name in wanted if frame[name].null_count()]
    if nulls or frame.is_empty():
        raise SourceError(f"{path} is empty" if not nulls else f"{path} has rows without {', '.join(nulls)}")
    try:
        return frame.with_columns(
            *(pl.col(name).cast(pl.String) for name in ids),
            *(pl.col(name).cast(pl.Int64) for name in numbers),
            *(pl.col(name).cast(pl.List(pl.String)) for name in lists),
        )
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path}: {str(error).splitlines()[0]}") from error
