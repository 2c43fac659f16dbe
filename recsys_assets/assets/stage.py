"""What every asset does around its logic: time it, report it, and tell Dagster whether a retry may help."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from recsys_assets.errors import PermanentError, TransientError
from recsys_assets.stores.files import trouble

RETRIES, RETRY_SECONDS = 2, 5

Metadata = Callable[..., dict[str, Any]]


@contextmanager
def stage() -> Iterator[Metadata]:
    """Gives ``metadata(rows, **more)``, which adds the row count and the seconds since the stage began.

    Dagster retries where a store did not answer, and nowhere else: a day that is refused stays refused.
    """
    started = time.perf_counter()

    def metadata(rows: int, /, **more: Any) -> dict[str, Any]:
        seconds = round(time.perf_counter() - started, 2)
        return {"dagster/row_count": rows, "seconds": dg.MetadataValue.float(seconds), **more}

    try:
        try:
            yield metadata
        # Files are read where a lazy frame is collected.
        except (OSError, pl.exceptions.PolarsError) as error:
            raise trouble(error) or error from None
    except PermanentError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except TransientError as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS) from error


def report_days(
    context: dg.AssetExecutionContext, asset: str, written: Mapping[date, int], metadata: Metadata, **more: Any
) -> dg.MaterializeResult[None]:
    """Each day's rows stand on that day; what holds for the whole window (``more``) stands on its last day.

    Dagster would otherwise repeat the window's metadata, plots included, on every one of its days. A day that is none
    of the run's own (a late one) gets its materialization here.
    """
    own = set(context.partition_keys)
    for day, rows in written.items():
        count = {"dagster/row_count": rows}
        if day.isoformat() in own:
            context.add_asset_metadata(count, asset, day.isoformat())
        else:
            context.log_event(dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=count))
    last = max(written)
    context.add_asset_metadata(metadata(written[last], **more), asset, last.isoformat())
    return dg.MaterializeResult(asset_key=asset)
