"""Whether the day of a run is published: what the run was asked for, held against what is live."""

from datetime import date

import dagster as dg

from recsys_assets.errors import SettingsError
from recsys_assets.logic.publication import TAG, Publication, Wish, publication
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.live import live_day


def publication_of(context: dg.AssetExecutionContext, shop: Shop) -> Publication:
    """Of the run's day.

    Raises:
        SettingsError: the run's tag says something else than yes or no.
    """
    day, newest, tags = day_of(context), DAY.get_last_partition_key(), context.run.tags
    live = live_day(shop.settings.postgres_url)
    last = day if newest is None else date.fromisoformat(newest)
    return publication(day, last, live, _wish(tags.get(TAG)), backfill="dagster/backfill" in tags)


def _wish(told: str | None) -> Wish | None:
    match told:
        case None | "yes" | "no":
            return told
        case _:
            raise SettingsError(f"the tag {TAG} of the run is {told!r}: it says yes or no.")
