"""Lists of the kinds that were tried on a window, ``weights`` and ``learned``, on windows after it."""

import numpy as np

from recsys_assets.logic.choices import EVERYBODY, Choices
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
    weighing = replace_weights(blend, choices)
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


def replace_weights(blend: Blend, choices: Choices) -> Blend:
    """The same fitted members under the weights that were chosen."""
    made = Blend(members={}, weights=choices.weights[EVERYBODY], types=blend.types, scale=blend.scale)
    made.by_type = {kind: dict(own) for kind, own in choices.weights.items() if kind != EVERYBODY}
    made.models, made.product_ids = blend.models, blend.product_ids
    return made
