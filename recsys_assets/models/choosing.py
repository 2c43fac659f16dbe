"""What a shop's validation window chooses: parameters, and whether lists may hold what was bought before."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.metrics import per_person
from recsys_assets.models import default_weights, make_blend
from recsys_assets.models.blend import Blend, best_is_one
from recsys_assets.models.calibration import put_forward, with_confidence
from recsys_assets.models.holdout import TARGETS, Holdout, Lists, list_for_all
from recsys_assets.models.learned import learn, taught
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.models.top import block_size, top
from recsys_assets.models.tried import chosen_lists
from recsys_assets.tuning import Tuning

Progress = Callable[[str], None]


def choose(
    held: Holdout,
    tuning: Tuning,
    threads: int,
    progress: Progress,
    early: Sequence[Holdout] = (),
    before: Holdout | None = None,
) -> tuple[Choices, Lists]:
    """What the window chose, and its lists of every model; ``published`` ones are those of the choice.

    ``early`` is people of the window as they were after their first interactions, ``before`` the window before it; see
    `learned.learn`.
    """
    choices = _choose_regularization(held, tuning, threads, progress)
    blend = make_blend(tuning, choices, threads, every=True)
    progress(f"validation: fitting {', '.join(blend.names)} on days before the window")
    blend.fit(held.train)
    progress(f"validation: ranking for {len(held.history.person_keys)} people")
    lists = list_for_all(held, blend, tuning.repeats.weights, tuning)

    k = choice_k(tuning)
    some = held.relevant["all"] > 0

    def figure(model: str) -> npt.NDArray[np.float64]:
        return per_person("ndcg", lists[model, "all"].hits, held.relevant["all"], k)[some]

    never = figure("never")
    best = max(tuning.repeats.weights, key=lambda weight: (round(float(figure(f"repeat {weight}").mean()), 9), -weight))
    gain = (figure(f"repeat {best}") - never)[:, None]
    low, _ = interval(resampled_means(gain, tuning.evaluation.bootstrap, tuning.seed))
    wanted = tuning.repeats.allowed
    # Repeats annoy where they do not help, so they have to be better beyond chance.
    allowed = wanted == "always" or (wanted == "validation" and float(low[0]) > 0)
    progress(
        f"validation: repeats {'allowed' if allowed else 'left out'} (NDCG@{k} {never.mean():.4f} without, "
        f"{never.mean() + gain.mean():.4f} with weight {best})"
    )
    choices = replace(choices, repeats_allowed=allowed, repeat_weight=best)
    if tuning.blend.kind != "default" and len(some) >= tuning.blend.people_to_weigh:
        default = default_weights(tuning, choices)
        lesson = None
        if before is not None:
            progress("validation: fitting on days before the window before it")
            then = make_blend(tuning, choices, threads, every=True)
            then.fit(before.train)
            lesson = taught(before, then, choices, tuning, threads)
        choices, learned = learn(held, blend, choices, default, k, tuning, threads, progress, early, lesson)
        progress(f"validation: {choices.kind} is published")
        lists |= learned
    progress("validation: confidence, of everybody who gets a list")
    put = put_forward(held, blend, choices, tuning, threads)
    return with_confidence(choices, put), published_lists(lists, choices)


def _choose_regularization(held: Holdout, tuning: Tuning, threads: int, progress: Progress) -> Choices:
    """The best of ``als.regularizations`` by NDCG on new products: what suits a shop depends on its size."""
    choices = Choices.unchosen(tuning)
    k = choice_k(tuning)
    some = held.relevant["new"] > 0
    best = -1.0
    for regularization in tuning.als.regularizations:
        tried = replace(choices, als_regularization=regularization)
        als = make_blend(tuning, tried, threads).models["als"]
        als.fit(held.train)
        hits = np.zeros((len(some), k), dtype=np.bool_)
        size = block_size(len(held.listable))
        for start in range(0, len(some), size):
            history = held.history.rows(start, start + size)
            scores = best_is_one(als.scores(history))
            scores[:, ~held.listable] = 0
            owned = history.purchases.tocoo()
            scores[owned.row, owned.col] = 0
            picks = top(scores, k)
            hits[start + picks.rows, picks.ranks()] = held.bought[start : start + size].toarray()[
                picks.rows, picks.columns
            ]
        figure = float(per_person("ndcg", hits, held.relevant["new"], k)[some].mean()) if some.any() else 0.0
        progress(f"validation: ALS with regularisation {regularization} reaches NDCG@{k} {figure:.4f} on new products")
        if round(figure, 9) > best:
            best, choices = round(figure, 9), tried
    return choices


def published_lists(lists: Lists, choices: Choices) -> Lists:
    """The lists of the named models; those of the choice are named ``published``, the other trials dropped."""
    default = f"repeat {choices.repeat_weight}" if choices.repeats_allowed else "never"
    chosen = default if choices.kind == "default" else choices.kind
    named = {*MEMBER_MODELS, "blend", "weights", "learned", "random", "ceiling"}
    kept = {key: listed for key, listed in lists.items() if key[0] in named}
    return kept | {("published", target): lists[chosen, target] for target in TARGETS}


def lists_of(
    held: Holdout, blend: Blend, choices: Choices, tuning: Tuning, threads: int = 0, *, whole: bool = False
) -> Lists:
    """Lists of every model on a window on which nothing was chosen, of each kind that was tried, and ``published``.

    Args:
        held: the window.
        blend: fitted on its training; made with ``every`` member, under the default blend's weights without repeats.
        choices: of an earlier window.
        tuning: all knobs.
        threads: 0 = all cores; never changes a result.
        whole: measure the whole ranking too, see `list_for_all`.
    """
    lists = list_for_all(held, blend, [choices.repeat_weight], tuning, whole=whole)
    return published_lists(lists | chosen_lists(held, blend, choices, tuning, threads), choices)


def choice_k(tuning: Tuning) -> int:
    """The K at which choices are made: the largest measured one up to 10."""
    return max((k for k in tuning.evaluation.ks if k <= 10), default=min(tuning.evaluation.ks))
