"""Lists of the kinds that were tried on a window, ``weights`` and ``learned``, on windows after it."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.choices import EVERYBODY, Choices
from recsys_assets.models import default_weights
from recsys_assets.models.base import Interactions, one_blas_thread
from recsys_assets.models.blend import Blend
from recsys_assets.models.candidates import picked, side_by_side
from recsys_assets.models.fused import values_at
from recsys_assets.models.holdout import TARGETS, Holdout, Listed, Lists
from recsys_assets.models.learned import Learned
from recsys_assets.models.top import Picks, block_size
from recsys_assets.tuning import Tuning


def chosen_lists(held: Holdout, blend: Blend, choices: Choices, tuning: Tuning, threads: int) -> Lists:
    """Lists of the kinds that were tried, ``weights`` and ``learned``, as Level 1 would make them.

    Args:
        held: a window on which nothing was chosen.
        blend: fitted on its training, with all members that the choices ask.
        choices: of an earlier window.
        tuning: all knobs.
        threads: 0 = all cores; never changes a result.
    """
    if not choices.weights:
        return {}
    places = max(*tuning.evaluation.ks, tuning.served_list_size)
    people, size = len(held.history.person_keys), block_size(len(held.listable))
    weighing = replace_weights(blend, choices.weights)
    made = {
        (kind, target): Listed.none(people, places)
        for kind in ("weights", *(("learned",) if choices.trees else ()))
        for target in TARGETS
    }
    reorder = Learned.of(choices, held.traits, threads) if choices.trees else None

    def work(start: int) -> int:
        history = held.history.rows(start, start + size)
        said = weighing.said(history)
        picks = picked(said, weighing, history, held.listable, choices, tuning)
        keep("weights", start, history, picks)
        if reorder is not None:
            keep("learned", start, history, reorder(picks, said, history))
        return start

    def keep(kind: str, start: int, history: Interactions, picks: Picks) -> None:
        again = values_at(history.purchases, picks.rows, picks.columns) > 0
        truth = values_at(held.bought, start + picks.rows, picks.columns) > 0
        for target, mask in {"all": np.ones_like(again), "new": ~again, "repeat": again}.items():
            own = picks.where(mask)
            ranks = own.ranks()
            first = ranks < places
            at = (start + own.rows[first], ranks[first])
            into = made[kind, target]
            into.hits[at] = truth[mask][first]
            into.scores[at] = own.scores[first]
            into.columns[at] = own.columns[first]

    with one_blas_thread():
        for _ in side_by_side(work, range(0, people, size), threads):
            pass
    return made


class Level1:
    """The candidates that the choices' kind makes of anybody's history, at full depth, as a night would.

    Args:
        held: the window whose training made the models.
        blend: fitted on it, with all members that the choices ask.
        choices: what is published.
        tuning: all knobs.
        threads: 0 = all cores; never changes a result.
    """

    def __init__(self, held: Holdout, blend: Blend, choices: Choices, tuning: Tuning, threads: int) -> None:
        self._held, self._choices, self._tuning, self._threads = held, choices, tuning, threads
        default = choices.kind == "default"
        weights = {EVERYBODY: default_weights(tuning, choices)} if default else choices.weights
        asked = {name for own in weights.values() for name, weight in own.items() if weight}
        learned = choices.kind == "learned"
        self._blend = replace_weights(blend, weights)
        self._blend.models = {
            name: model for name, model in blend.models.items() if name in asked or (learned and name in choices.facts)
        }
        self._reorder = Learned.of(choices, held.traits, threads=1) if learned else None

    def of(self, people: Interactions) -> Iterator[tuple[int, Picks, npt.NDArray[np.bool_]]]:
        """Per block of people: the place of its first one, its candidates, and whether each was bought before."""
        size = block_size(len(self._held.listable))

        def work(start: int) -> tuple[int, Picks, npt.NDArray[np.bool_]]:
            history = people.rows(start, start + size)
            said = self._blend.said(history)
            picks = picked(said, self._blend, history, self._held.listable, self._choices, self._tuning)
            if self._reorder is not None:
                picks = self._reorder(picks, said, history)
            return start, picks, values_at(history.purchases, picks.rows, picks.columns) > 0

        with one_blas_thread():
            yield from side_by_side(work, range(0, len(people.person_keys), size), self._threads)


def replace_weights(blend: Blend, weights: Mapping[str, Mapping[str, float]]) -> Blend:
    """The same fitted members under other weights, of everybody and by type of history."""
    made = Blend(members={}, weights=weights[EVERYBODY], types=blend.types, scale=blend.scale)
    made.by_type = {kind: dict(own) for kind, own in weights.items() if kind != EVERYBODY}
    made.models, made.product_ids = blend.models, blend.product_ids
    return made
