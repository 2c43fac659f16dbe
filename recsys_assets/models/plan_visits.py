"""What a visit adds to a plan: the planner with and without the visit that led to the basket, of the same people."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recsys_assets.logic.copy_facts import INTENTS
from recsys_assets.logic.plans import TOP, Plan, PlanningTerms, with_visit
from recsys_assets.models.plan_evaluation import PLANNER, Measure, f1_measure, mean
from recsys_assets.models.planner import Examples, Planner

WITHOUT = "without the visit"


def visit_measures(
    test: Examples, planner: Planner, new: Plan, truth: dict[str, str] | None = None
) -> tuple[list[Measure], list[str]]:
    """Category and intent of people whose basket a visit led to, and who they are, in order.

    Args:
        test: a day that the planner did not learn from; ``visits`` end before the order.
        planner: with the terms of a visit.
        new: the plan of somebody unknown, as it was known on that day.
        truth: person → intent, where the true ones are known; else the labels of ``test.after``.
    """
    met = test.after.filter(pl.col("category") != "", pl.col("person_key").is_in(list(test.visits)))
    said = planner.predict(test.states, met.select("person_key"))
    labels = {row["person_key"]: row for row in met.iter_rows(named=True)}
    before = said.plans()
    after = [
        with_visit(plan, test.visits[person], planner.terms, new)
        for person, plan in zip(said.people, before, strict=True)
    ]
    categories = [labels[person]["category"] for person in said.people]
    intents = [(truth or {}).get(person, labels[person]["intent"]) for person in said.people]
    found = []
    for model, plans in ((PLANNER, after), (WITHOUT, before)):
        found += [
            Measure("category", "accuracy_at_1", model, _within(plans, categories, 1), mean),
            Measure("category", "accuracy_at_3", model, _within(plans, categories, TOP), mean),
            f1_measure("intent", model, _named(plans, planner.terms), intents, INTENTS),
        ]
    return found, said.people


def _within(plans: Sequence[Plan], wanted: Sequence[str], size: int) -> np.ndarray:
    return np.array(
        [[float(want in [name for name, _ in plan.top()[:size]])] for plan, want in zip(plans, wanted, strict=True)]
    ).reshape(-1, 1)


def _named(plans: Sequence[Plan], terms: PlanningTerms) -> list[str]:
    return [plan.intent(terms) for plan in plans]
