"""The only wiring: assets, checks, jobs and the schedule of one shop."""

import itertools

import dagster as dg

from recsys_assets import automation
from recsys_assets.assets import (
    copy,
    dbt_marts,
    erasure,
    evaluation,
    events,
    features,
    generation,
    landing,
    lists,
    marts,
    models,
    people,
    planner,
    plans,
    promotion,
    retention,
    search,
)
from recsys_assets.resources import Shop

_GROUPS = {
    "events": (landing, events),
    "features": (people, features),
    "models": (models, evaluation, search, planner),
    "lists": (lists, plans, copy),
    "publishing": (promotion, generation, erasure, retention),
    "marts": (marts, dbt_marts),
}


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that a code location holds."""
    assets = itertools.chain.from_iterable(
        dg.load_assets_from_modules(modules, group_name=group) for group, modules in _GROUPS.items()
    )
    return dg.Definitions(
        assets=automation.with_policies([a for a in assets if isinstance(a, dg.AssetsDefinition)]),
        jobs=[automation.history, automation.daily, automation.search, automation.erase],
        schedules=[automation.nightly],
        sensors=[automation.alert, automation.erasure_requests, automation.warm_cache],
        resources={"shop": Shop()},
    )
