"""All sources of a home in one go, as a night lands them."""

from collections.abc import Callable
from datetime import datetime

from recsys_assets.importers.ingest import ingest
from recsys_assets.importers.refusals import too_many_rejected
from recsys_assets.importers.reports import FileReport
from recsys_assets.settings import Home
from recsys_assets.stores.lake import Lake


def ingest_sources(
    lake: Lake, home: Home, *, now: datetime, progress: Callable[[str], None], warn: Callable[[str], None]
) -> list[FileReport]:
    """One report per file of every source; what somebody should look at goes to ``warn``.

    Raises:
        SourceError: a file cannot be read, or more of its rows are rejected than the knob ``rejections.stop`` allows.
    """
    shares, reports = home.config.tuning.rejections, list[FileReport]()
    for source in home.config.sources:
        reports += ingest(lake, home, source, now=now, most_rejected=shares.stop, progress=progress)
    for report in reports:
        for words in (*report.warnings, *too_many_rejected(report, shares.warn)):
            warn(f"{report.path}: {words}.")
    return reports
