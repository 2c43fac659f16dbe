"""The fixed recipe that the gate holds lists against, beside the live one: small nightly losses add up against it.

It is the version that went live with the last accepted search, or on the last day that somebody let through by hand
(``promotion.accept_days``) although a rule refused it; before either, the first one that went live.
"""

import json
from dataclasses import dataclass
from datetime import date

from recsys_assets.assets.tuned import searched
from recsys_assets.logic.promotion import new_reference
from recsys_assets.logic.search import Overrides
from recsys_assets.resources import Shop
from recsys_assets.tables import PROMOTION

FOLDER, FILE = "reference", "reference.json"


@dataclass(frozen=True)
class Reference:
    """A model version (``recsys/7``), the day whose lists it made, why it is held on to, and what a search had set."""

    version: str
    day: date
    because: str
    knobs: Overrides

    def __str__(self) -> str:
        return f"{self.version} of {self.day}, {self.because}"


def reference(shop: Shop, day: date) -> Reference | None:
    """What lists of ``day`` are held against; None before the first day went live."""
    days = [made for made, files in shop.lake.parts(FOLDER).items() if made <= day and FILE in files]
    if not days:
        return None
    told = json.loads(shop.lake.get_text(FOLDER, max(days), FILE))
    return Reference(told["version"], date.fromisoformat(told["day"]), told["because"], told["knobs"])


def hold_on_to(shop: Shop, day: date, version: str) -> Reference | None:
    """After ``version`` went live for ``day``: the new reference where it is one, else None."""
    last, found = reference(shop, day), searched(shop, day)
    knobs = found.overrides if found else {}
    refused = not shop.lake.read(PROMOTION, day)["passed"].all()
    by_hand = refused and day in shop.tuning.promotion.accept_days
    because = new_reference(last.knobs if last else None, knobs, by_hand=by_hand)
    if because is None:
        return None
    made = Reference(version, day, because, knobs)
    told = {"version": version, "day": str(day), "because": because, "knobs": knobs}
    shop.lake.put_text(FOLDER, day, FILE, json.dumps(told, indent=1, sort_keys=True))
    shop.tracking.set_alias(int(version.rpartition("/")[2]), "reference")
    return made
