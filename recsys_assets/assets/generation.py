"""Lists → a generation: staged in Postgres, checked, warmed in Redis, one flip (promise 2)."""

import dagster as dg

from recsys_assets.assets.learnt import learnt_at
from recsys_assets.assets.models import FLAVOURS, VERSION_FILE, folder_name
from recsys_assets.assets.people import follow_users_files
from recsys_assets.assets.publication import publication_of
from recsys_assets.assets.reference import hold_on_to
from recsys_assets.assets.stage import stage
from recsys_assets.logic.hashing import list_hash
from recsys_assets.partitions import DAY, day_of
from recsys_assets.resources import Shop
from recsys_assets.stores.day_frames import frames_of


@dg.asset(
    partitions_def=DAY,
    deps=[
        "promotion", "lists", "similar_items", "next_items", "popular_items", "catalog", "user_profiles", "users",
        "identities", "blend", "plans", "copy",
    ],
    description="The published lists of the day; readers see it whole or the one before. A past day is only checked.",
)  # fmt: skip
def generation(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day, lake = day_of(context), shop.lake
        withheld = follow_users_files(shop)
        wish = publication_of(context, shop)
        if not wish.publishes:
            lists = frames_of(lake, day).conform().lists
            return dg.MaterializeResult(
                metadata=metadata(
                    lists["person_key"].n_unique(), published=False, why=wish.why, list_hash=list_hash(lists)
                )
            )
        version = lake.get_text(folder_name("blend"), day, VERSION_FILE)
        published = shop.publisher.publish(
            day,
            frames_of(lake, day),
            model_version=version,
            learnt_at=learnt_at(context.instance, ("interactions", "steps", *FLAVOURS), day),
            keep=shop.tuning.keep_generations,
            force=wish.asked,
            progress=context.log.info,
        )
        shop.tracking.set_alias(int(version.rpartition("/")[2]), "champion")
        held_on_to = hold_on_to(shop, day, version)
        if held_on_to is not None:
            context.log.info(f"reference of the gate: {held_on_to}")
        return dg.MaterializeResult(
            metadata=metadata(
                published.people,
                published=True,
                generation=published.generation,
                list_hash=published.list_hash,
                seconds_per_step=published.seconds,
                problems=[*([withheld.cache_problem] if withheld.cache_problem else []), *published.problems],
            )
        )
