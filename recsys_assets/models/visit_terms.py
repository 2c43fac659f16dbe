"""What a visit says on top of a plan: linear terms, fitted to visits that ended in a basket (`logic.plans`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.copy_facts import INTENTS, Intent
from recsys_assets.logic.plans import VISIT_FEATURES, Plan, PlanningTerms, Visit, visit_features

Floats = npt.NDArray[np.float64]
LEAST_VISITS = 20  # from which anything is learned
_LOOSE = 0.5  # how little weights are held to 0; the inverse of their penalty
_DEARER = VISIT_FEATURES.index("dearer")


@dataclass(frozen=True)
class Visited:
    """A visit that ended in a basket: what was planned before it, and what was bought.

    ``log_price`` is that of the basket's middle item, where one has a price.
    """

    plan: Plan
    visit: Visit
    category: str
    intent: Intent
    log_price: float | None


def fitted_terms(visited: Sequence[Visited], terms: PlanningTerms) -> PlanningTerms:
    """``terms`` with the weights of a visit; as they were where too few visits were seen."""
    if len(visited) < LEAST_VISITS:
        return terms
    features = np.array([visit_features(one.visit, one.plan, terms) for one in visited])
    return replace(
        terms,
        category=_category_weights(visited),
        intents=_intent_weights(visited, features),
        price=_price_weight(visited, features[:, _DEARER]),
    )


def _category_weights(visited: Sequence[Visited]) -> tuple[float, float]:
    """Of a category's share of the looks and of the carts: which of the categories it was, given that it was one.

    The category's own score has a weight of 1, as it has when served. Left free, it shrinks beside carts, which tell
    nearly all, and their weights at a score of 1 come out as 80: certain of every category that was looked at.
    """
    from scipy.optimize import minimize

    sets = [rows for one in visited for rows in [_category_rows(one)] if any(is_it for *_, is_it in rows)]
    if not sets:
        return 0.0, 0.0
    table = np.array([row for rows in sets for row in rows])
    starts = np.cumsum([0, *(len(rows) for rows in sets)])[:-1]
    group = np.repeat(np.arange(len(sets)), [len(rows) for rows in sets])
    offset, features, is_it = table[:, 0], table[:, 1:3], table[:, 3]

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = offset + features[:, 0] * weights[0] + features[:, 1] * weights[1]
        scores -= np.maximum.reduceat(scores, starts)[group]
        shares = np.exp(scores)
        sums = np.add.reduceat(shares, starts)
        told = float((np.log(sums) - np.add.reduceat(scores * is_it, starts)).sum())
        slope = ((shares / sums[group] - is_it)[:, None] * features).sum(axis=0) + weights / _LOOSE
        return told + float((weights**2).sum()) / (2 * _LOOSE), slope

    found: Any = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * 2)
    return round(float(found.x[0]), 6), round(float(found.x[1]), 6)


def _category_rows(one: Visited) -> list[tuple[float, float, float, float]]:
    """Per category that was planned or looked at: score, share of the looks, share of the carts, whether it was it."""
    looks, carts = max(1, len(one.visit.looks)), max(1, sum(look.cart for look in one.visit.looks))
    scores = {name: score for name, score in one.plan.categories if name}
    seen: dict[str, int] = {}
    carted: dict[str, int] = {}
    for look in one.visit.looks:
        if look.category:
            seen[look.category] = seen.get(look.category, 0) + 1
            carted[look.category] = carted.get(look.category, 0) + look.cart
    least = min(scores.values(), default=0.0)
    return [
        (scores.get(name, least), seen.get(name, 0) / looks, carted.get(name, 0) / carts, float(name == one.category))
        for name in [*scores, *sorted(set(seen) - set(scores))]
    ]


def _intent_weights(visited: Sequence[Visited], features: Floats) -> tuple[tuple[float, ...], ...]:
    """Multinomial regression on top of the plan's own log probabilities, whose weight is 1, as it is when served."""
    from scipy.optimize import minimize

    offset = np.array([one.plan.intents for one in visited])
    wanted = np.eye(len(INTENTS))[[INTENTS.index(one.intent) for one in visited]]
    shape = (len(INTENTS), features.shape[1])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        scores = offset + np.einsum("pf,if->pi", features, weights)
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        told = -float(np.log(np.maximum((chances * wanted).sum(axis=1), np.finfo(float).tiny)).sum())
        slope = np.einsum("pi,pf->if", chances - wanted, features) + weights / _LOOSE
        return told + float((weights**2).sum()) / (2 * _LOOSE), slope.ravel()

    found: Any = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return tuple(tuple(row) for row in found.x.reshape(shape).round(6).tolist())


def _price_weight(visited: Sequence[Visited], dearer: Floats) -> float:
    """How much of what the looks are dearer than planned is paid, between nothing and all of it."""
    from sklearn.linear_model import Ridge

    rows = [
        (looks, one.log_price - float(np.log(one.plan.bracket[1])))
        for one, looks in zip(visited, dearer.tolist(), strict=True)
        if looks and one.log_price is not None and one.plan.bracket is not None
    ]
    if len(rows) < LEAST_VISITS:
        return 0.0
    x, y = np.array(rows)[:, :1], np.array(rows)[:, 1]
    return round(min(1.0, max(0.0, float(Ridge(alpha=1.0).fit(x, y).coef_[0]))), 6)
