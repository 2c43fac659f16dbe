"""Users files and clean events → who said what, and which anonymous key is whose; both as of a day."""

from datetime import date

import dagster as dg
import polars as pl

from recsys_assets.assets.features import PAST_EVENTS, window_days
from recsys_assets.assets.stage import stage
from recsys_assets.logic.identities import identities as linked
from recsys_assets.logic.identities import owned, shared
from recsys_assets.logic.users import users as as_told
from recsys_assets.logic.users import wishes, withheld
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.suppressions import Followed
from recsys_assets.tables import CLEAN_EVENTS, IDENTITIES, LANDING_USERS, USERS


def follow_users_files(shop: Shop) -> Followed:
    """The newest word of users files, whichever day is computed, made to hold in every store at once.

    It comes before the day's own checks: a no need not wait for a day that is refused.
    """
    landed = shop.lake.landed_until(LANDING_USERS, date.max)
    if landed.is_empty():
        return Followed()
    days = shop.lake.days(IDENTITIES)
    known = shop.lake.read(IDENTITIES, days[-1]) if days else IDENTITIES.empty()
    return shop.suppressions.follow(wishes(as_told(landed), known))


@dg.asset(partitions_def=DAY, deps=["landing_events"], description=USERS.what)
def users(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        frame = as_told(shop.lake.landed_until(LANDING_USERS, day), day)
        shop.lake.write(USERS, day, frame)
        done = follow_users_files(shop)
        return dg.MaterializeResult(
            metadata=metadata(
                frame.height,
                without_consent=withheld(frame).height,
                newly_withheld=done.withheld,
                released=done.released,
                problems=[done.cache_problem] if done.cache_problem else [],
            )
        )


@dg.asset(partitions_def=DAY, deps=[PAST_EVENTS], description=IDENTITIES.what)
def identities(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        both = pl.col.user_key.is_not_null() & pl.col.anon_key.is_not_null()
        events = shop.lake.scan(CLEAN_EVENTS, window_days(shop, day)).filter(both)
        seen = events.select("user_key", "anon_key", "event_date").collect()
        known = shop.lake.tombstones().shared
        frame = linked(seen, day, shop.tuning.window_days, known, shop.suppressions.asked(), shop.home.keys.mark)
        shop.lake.write(IDENTITIES, day, frame)
        return dg.MaterializeResult(
            metadata=metadata(frame.height, linked=owned(frame).height, shared=len(shared(frame)))
        )
