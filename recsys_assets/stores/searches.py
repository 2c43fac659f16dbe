"""What searches for better knobs found, in the lake: one record a day, and one for each that was undone."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from recsys_assets.logic.search import Searched, Undone
from recsys_assets.stores.lake import Lake

FOLDER, WINNER, UNDONE = "search", "winner.json", "undone"


class Searches:
    """The records of one home."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def all(self) -> list[Searched | Undone]:
        """Every record, in the order of their days, then of the time at which they were made."""
        made: list[Searched | Undone] = []
        for day, files in self._lake.parts(FOLDER).items():
            for file in files:
                told = json.loads(self._lake.get_text(FOLDER, day, file))
                if file == WINNER:
                    made.append(_searched(day, told))
                elif file.startswith(UNDONE):
                    made.append(Undone(day, date.fromisoformat(told["of"]), told["at"], told["why"]))
        return sorted(made, key=lambda one: (one.day, one.at))

    def record(self, found: Searched, tried: dict[str, Any]) -> None:
        """Keeps what a search found, in the place of what an earlier one of the same day did."""
        told = asdict(found) | {"seen_until": found.seen_until.isoformat(), "tried": tried}
        del told["day"]
        self._lake.put_text(FOLDER, found.day, WINNER, json.dumps(told, indent=1, sort_keys=True))

    def undo(self, undone: Undone) -> None:
        """Puts a search out of force, from a day on."""
        told = {"of": undone.of.isoformat(), "at": undone.at, "why": undone.why}
        name = f"{UNDONE}-{told['of']}.json"
        self._lake.put_text(FOLDER, undone.day, name, json.dumps(told, indent=1, sort_keys=True))


def _searched(day: date, told: dict[str, Any]) -> Searched:
    """A record; one of before there were verdicts was in force as it was found."""
    says: Sequence[str] = told.get("says", ())
    seen = date.fromisoformat(told["seen_until"]) if "seen_until" in told else day
    figures = dict(told.get("figures", {}))
    adopted, at = bool(told.get("adopted", True)), str(told.get("at", ""))
    return Searched(day, at, adopted, dict(told["overrides"]), seen, figures, str(told.get("verdict", "")), tuple(says))
