"""Whole files that are not taken: a wish that cannot be read, too many rejected rows, rows that are there already."""

from collections.abc import Sequence

import polars as pl

from recsys_assets.errors import SourceError
from recsys_assets.importers.base import Raw
from recsys_assets.importers.reports import FileReport
from recsys_assets.stores.lake import Delivery

_NO = {"consent": False, "transactional_only": True}  # each wish of a users file, and what of it is the stricter word
_SHOWN = 5


def demand_wishes(name: str, raw: Raw, landed: pl.DataFrame) -> None:
    """Refuses a users file of which a wish is lost: whoever said no would go on being asked and shown to.

    Raises:
        SourceError: a wish cannot be read, a line that holds one cannot, or a row with a no is rejected; names lines.
    """
    sent, read = raw.frame.sort("source_line"), landed.sort("source_line")
    lines = sent["source_line"]
    wishes = [wish for wish in _NO if raw.kind == "users" and wish in sent.columns]
    for wish in wishes:
        unread = (sent[wish].is_not_null() & read[wish].is_null()) | sent["problem"].is_not_null()
        if unread.any():
            raise SourceError(
                f"{name}: {wish} cannot be read at {_places(lines.filter(unread))}. Nothing of the file landed, "
                "because a no must not get lost. Mend the lines, or name the words in a mapping file under [booleans]."
            )
    for wish in wishes:
        said_no = read["user_key"].is_not_null() & (read[wish] == _NO[wish]).fill_null(False)
        lost = said_no & read["problem"].is_not_null()
        if lost.any():
            why = ", ".join(sorted(set(read.filter(lost)["problem"])))
            raise SourceError(
                f"{name}: a person says no ({wish}) at {_places(lines.filter(lost))}, and the row is rejected ({why}). "
                "Nothing of the file landed, because a no must not get lost. Mend the lines."
            )


def _places(lines: pl.Series) -> str:
    more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
    return f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines.head(_SHOWN)))}{more}"


def too_many_rejected(report: FileReport, most: float) -> tuple[str, ...]:
    """What is to be said of a file with a share of rejected rows over ``most``, or with nothing else."""
    if report.wholly_rejected:
        return (f"all of its rows are rejected ({', '.join(report.rejected)})",)
    share = report.rejected_share
    if share <= most:
        return ()
    return (f"{share:.1%} of its rows are rejected, over the knob rejections.warn = {most:.0%}",)


def demand_few_rejected(report: FileReport, most: float | None) -> None:
    """Refuses a file with too great a share of rejected rows; ``most`` None: no share is.

    Raises:
        SourceError: naming the share and the reasons.
    """
    if most is not None and report.rejected_share > most:
        reasons = ", ".join(f"{reason} {found.rows:,}" for reason, found in report.rejected.items())
        raise SourceError(
            f"{report.path}: {report.rejected_share:.1%} of {report.rows:,} rows are rejected ({reasons}), over "
            f"rejections.stop = {most:.0%}. Nothing of the file landed. See `recsys ingest … --check`; mend "
            "the file or its mapping, or raise the knob."
        )


def demand_replace(name: str, replaced: Sequence[Delivery], told: Delivery, *, replace: bool) -> tuple[str, ...]:
    """Says what goes when the same bytes are read anew; where another mapping or format asks for it, so must people.

    Raises:
        SourceError: they did not.
    """
    said = []
    for old in replaced:
        days = f"{min(old.days)} to {max(old.days)}" if len(old.days) > 1 else next(iter(old.days), "no day")
        how = old.format + (f" with {old.map}" if old.map else "")
        what = f"{old.rows:,} rows of {old.table}, of {days}, that were read as {how} on {old.landed_at[:10]}"
        same_map = old.map_hash == told.map_hash if old.map_hash else old.map == told.map
        if not (replace or (same_map and old.format == told.format)):
            raise SourceError(f"{name}: its bytes have landed: {what}. Add --replace to put what is read now in place.")
        said.append(f"takes the place of {what}")
    return tuple(said)
