"""Whether something of the future has come into an evaluation (promise 6), found by code apart from what made it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.logic.interactions import interactions
from recsys_assets.logic.metrics import per_person
from recsys_assets.logic.plan_states import States
from recsys_assets.logic.split import Window
from recsys_assets.models.base import Interactions
from recsys_assets.models.holdout import Holdout, Listed, past
from recsys_assets.models.traits import Traits
from recsys_assets.tuning import Tuning

TOO_GOOD = 0.95  # share of the attainable ceiling; the best list of new products known to us reaches a third of it
SAMPLE = 200  # people, and products, that are made again
ENOUGH_PEOPLE = 30  # of fewer, a figure says nothing
_MATRICES = ("weights", "frequency", "purchases", "spending")
_STEPS = ("indptr", "columns", "baskets", "visits", "ages")


def leaks(
    held: Holdout,
    events: pl.DataFrame | pl.LazyFrame,
    window: Window,
    tuning: Tuning,
    catalog: pl.DataFrame | None = None,
) -> list[str]:
    """What of the days after the cut-off stands in a window's training, in words; nothing where all is well.

    - Every product that the training holds something of has an event on or before the cut-off: whatever became popular
      afterwards is not there yet.
    - Training and histories of some people are the same, number by number, when they are made of their events up to
      the cut-off and of nothing else: no feature knows the future. Some, because what is known of a person depends on
      nobody else, and making everybody's twice would take as long again as the window did.
    - So is what is said of some products.
    - What may be listed is what the catalogue of the cut-off offers, no more and no less.

    Args:
        held: the window's training and truth.
        events: table CLEAN_EVENTS that it was made of, or those of its days up to the cut-off, linked by these alone.
        window: the window.
        tuning: that it was made with.
        catalog: table CATALOG as of the cut-off, where it is known.
    """
    seen = events.lazy().filter(pl.col("event_date") <= window.cutoff).collect()
    found = []
    known = set(seen["product_id"].drop_nulls().unique().to_list())
    taken = held.train.product_ids[np.unique(held.train.weights.indices)]
    early = [product for product in taken.tolist() if product not in known]
    if early:
        found.append(
            f"{len(early)} products are in the training up to {window.cutoff} and have no event by then, such as "
            f"{early[0]}"
        )
    for what, given in (("training", held.train), ("histories", held.history)):
        places = _some(len(given.person_keys), tuning)
        some = given.take(places)
        theirs = seen.filter(pl.coalesce("user_key", "anon_key").is_in(some.person_keys.tolist()))
        differ = differences(some, past(theirs, window, tuning).of(some.product_ids, some.person_keys))
        if differ:
            found.append(
                f"{what} up to {window.cutoff} change when the days after it are taken away: {', '.join(differ)}"
            )
    places = _some(len(held.train.product_ids), tuning)
    product_ids = held.train.product_ids[places]
    sold = interactions(seen.filter(pl.col("product_id").is_in(product_ids.tolist())), window.cutoff, tuning)
    traits = Traits.of(sold, product_ids, window.cutoff, tuning.recent_days)
    told = [
        name for name in ("buyers", "recent", "price")
        if not np.array_equal(getattr(held.traits, name)[places], getattr(traits, name), equal_nan=True)
    ]  # fmt: skip
    if told:
        found.append(f"what is said of products up to {window.cutoff} knows the days after it: {', '.join(told)}")
    return found if catalog is None else [*found, *_other_catalog(held, catalog, window)]


def _other_catalog(held: Holdout, catalog: pl.DataFrame, window: Window) -> list[str]:
    """Products that may be listed against the catalogue of the cut-off, or may not though it offers them."""
    products = held.train.product_ids
    listed = catalog.filter(pl.col("not_recommendable").is_null())["product_id"].to_numpy()
    offered = np.isin(products, listed.astype(np.str_))  # of objects it would compare each with each
    found = []
    for which, said in (
        (held.listable & ~offered, "may be listed and are not offered by"),
        (~held.listable & offered, "may not be listed and are offered by"),
    ):
        if which.any():
            found.append(
                f"{which.sum()} products {said} the catalogue of {window.cutoff}, such as {products[which][0]}: "
                "another day's says what may be listed"
            )
    return found


def state_leaks(made: Sequence[States], again: Callable[[date], States]) -> list[str]:
    """What of the days after it stands in a day's states that the planner learned from, in words.

    Args:
        made: the states.
        again: a day → the same made of nothing but the days up to it, under the links that these alone know.
    """
    found = []
    for one in made:
        other = again(one.as_of)
        ours, theirs = one.people, other.people
        differ = [name for name in ours.columns if not ours[name].equals(theirs[name])]
        differ += [name for name in ("categories", "shares") if not getattr(one, name).equals(getattr(other, name))]
        if differ:
            found.append(
                f"the planner's states of {one.as_of} ({ours.height:,} people; {theirs.height:,} without later days) "
                f"change when the days after it are taken away: {', '.join(differ)}"
            )
    return found


def _some(count: int, tuning: Tuning) -> npt.NDArray[np.intp]:
    """Places of those that are looked at, in order."""
    drawn = np.random.default_rng(tuning.seed).choice(count, min(count, SAMPLE), replace=False)
    return np.sort(drawn).astype(np.intp)


def differences(one: Interactions, other: Interactions) -> list[str]:
    """What of two tables of interactions is not the same, by name."""
    differ = [
        name for name in _MATRICES
        if (getattr(one, name) != getattr(other, name)).nnz
    ]  # fmt: skip
    same = all(np.array_equal(getattr(one.steps, name), getattr(other.steps, name)) for name in _STEPS)
    return differ if same else [*differ, "steps"]


def same_training(one: Holdout, other: Holdout) -> bool:
    """Whether models learn, and are asked, the same on both."""
    for ours, theirs in ((one.train, other.train), (one.history, other.history)):
        for name in ("person_keys", "product_ids"):
            if not np.array_equal(getattr(ours, name), getattr(theirs, name)):
                return False
        if differences(ours, theirs) or not _same_features(ours, theirs):
            return False
    return True


def _same_features(one: Interactions, other: Interactions) -> bool:
    if one.features is None or other.features is None:
        return one.features is other.features
    same = one.features.shape == other.features.shape and abs(one.features - other.features).nnz == 0
    return bool(same)


def impossible(lists: Mapping[tuple[str, str], Listed], held: Holdout, tuning: Tuning) -> list[str]:
    """Models that find more than can be found, or nearly all of it, in words: such a model was told the answer.

    More than the ceiling is impossible for anybody; of products new to the person, `TOO_GOOD` of it is not believed.
    """
    k, found = max(tuning.evaluation.ks), []
    for (model, target), listed in sorted(lists.items()):
        some = held.relevant[target] > 0
        if model == "ceiling" or not some.any():
            continue
        reached = per_person("ndcg", listed.hits, held.relevant[target], k)[some]
        best = per_person("ndcg", lists["ceiling", target].hits, held.relevant[target], k)[some]
        if (reached > best + 1e-9).any():
            found.append(f"{model} lists more of what was bought ({target}) than anybody could")
        elif target == "new" and some.sum() >= ENOUGH_PEOPLE and reached.mean() > TOO_GOOD * best.mean():
            found.append(
                f"{model} reaches NDCG@{k} {reached.mean():.3f} on new products, of {best.mean():.3f} that can be "
                "reached: it seems to know the answer"
            )
    return found
