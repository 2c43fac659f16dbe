"""What the last clicks of a session say of each product that may come next: candidates and their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Floats, Interactions, Matrix, Steps
from recsys_assets.models.graph import Graph
from recsys_assets.models.multiply import best_of, by_rows
from recsys_assets.models.pool import Pool
from recsys_assets.models.session import Session
from recsys_assets.models.transitions import Transitions

Places = npt.NDArray[np.int64]

# Candidates of each source. On the last tenth of Diginetica's training sessions 80 of `session` hold 70.7 % of the
# next clicks; 40 of two steps of a walk beside them hold 74.6 %, 40 of `transitions` 71.0 %: a product of which no
# session holds both may be two steps away.
DEPTHS = {"session": 80, "wide": 40}
# Steps after which a click of the prefix counts 1/e for the walks.
DECAY = 2.5
# Views of `session` whose best score is a feature too: how sure the whole list is.
SURE = ("next", "next to last")
# Clicks of the prefix that are asked.
ASKED = 20
# Days that are recent.
RECENT = 10.0
# Prefixes at once.
BLOCK = 4096


@dataclass(frozen=True)
class Sources:
    """Fitted members: sessions, rules, and walks of one and of two steps from product to product.

    ``facts`` says of each product how often and when it is taken.
    """

    session: Session
    transitions: Transitions
    walk: Matrix
    wide: Matrix
    facts: dict[str, Floats]
    threads: int

    @classmethod
    def of(cls, session: Session, train: Interactions, threads: int = 0) -> Sources:
        """All but ``session``, which is fitted, learned from ``train``."""
        transitions = Transitions(threads=threads)
        transitions.fit(train)
        graph = Graph(purchase_weight=1.0, neighbours=200, threads=threads)
        graph.fit(train)
        walk = shares(graph.walks)
        wide = shares(best_of(walk, walk, 100, others=True, threads=threads))
        return cls(session, transitions, walk, wide, facts(train.steps, len(train.product_ids)), threads)

    def pool(self, history: Interactions) -> Pool:
        """Candidates of each person of ``history``, with features; the first ones are scores of members."""
        steps, products = history.steps, len(history.product_ids)
        best = self.session.best(history, DEPTHS["session"])
        far = best_of(latest(steps, products), self.wide, DEPTHS["wide"], threads=self.threads)
        far_rows = np.repeat(np.arange(far.shape[0]), np.diff(far.indptr))
        keys = np.unique(np.concatenate([best.rows * products + best.columns, far_rows * products + far.indices]))
        rows, columns = np.divmod(keys, products)
        people = len(history.person_keys)
        score = self.session.at(history, rows, columns)
        made: dict[str, npt.NDArray[Any]] = {"session": score}
        for name, relation in (("transitions", self.transitions.rules), ("walk", self.walk), ("wide", self.wide)):
            made[name], made[f"{name} last"] = self._related(steps, relation, rows, columns)
        for name, changes in views(self.session.parameters).items():
            said = self.session.retuned(**changes).at(history, rows, columns)
            top = greatest(rows, said, people)[rows]
            made[name] = said / np.where(top > 0, top, np.float32(1))
            if name in SURE:
                made[f"best {name}"] = top
        top = greatest(rows, score, people)[rows]
        made["best session"] = top
        made["share of best"] = score / np.where(top > 0, top, np.float32(1))
        made["place"] = places(rows, score)
        made["ago"], made["clicks"] = _clicked(steps.indptr, steps.columns, rows, columns)
        lengths = np.diff(steps.indptr)
        made["length"] = lengths[rows]
        made["distinct"] = distinct(steps, products)[rows]
        made |= {name: fact[columns] for name, fact in self.facts.items()}
        last = np.where(lengths > 0, np.append(steps.columns, 0)[steps.indptr[1:] - 1], 0)
        made["popularity of last"] = self.facts["popularity"][last][rows]
        features = np.stack([np.asarray(values, dtype=np.float32) for values in made.values()], axis=1)
        return Pool(rows, columns, features, tuple(made))

    def _related(self, steps: Steps, relation: Matrix, rows: Places, columns: Places) -> tuple[Floats, Floats]:
        """What ``relation`` says of entries from all clicks of the prefix, and from its last one."""
        people = len(steps.indptr) - 1
        starts = np.searchsorted(rows, np.arange(people + 1))
        of_all, of_last = np.zeros(len(rows), dtype=np.float32), np.zeros(len(rows), dtype=np.float32)
        by_rows(
            lambda first, last: _relate(
                first, last, steps.indptr, steps.columns, DECAY, ASKED,
                relation.indptr, relation.indices, relation.data, starts, columns, of_all, of_last,
                np.zeros(relation.shape[1], dtype=np.float32),
            ),
            people,
            self.threads,
            at_once=256,
        )  # fmt: skip
        return of_all, of_last


def views(parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same neighbours seen otherwise: what is changed of the parameters, by the feature's name."""
    return {
        "of last only": {"steps": 1},
        "after": {"backward": 0.0, "itself": 0.0},
        "next": {"backward": 0.0, "reach": 0.3},
        "next to last": {"steps": 1, "reach": 0.3},
        "near": {"reach": parameters["reach"] / 6},
        "closest": {"closeness": parameters["closeness"] * 2},
        "fresh": {"recency": parameters["recency"] / 10},
    }


def facts(steps: Steps, products: int) -> dict[str, Floats]:
    """Of each product: clicks, ages of the first and last, and the shares that are recent, open, end or come again.

    ``stays`` is the share that comes right after a click on the same product, ``returns`` the share that comes after
    any such click of the session.
    """
    columns, ages, rows = steps.columns, steps.ages, steps.rows

    def clicks(of: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        return np.bincount(of, minlength=products).astype(np.float64)

    popularity = clicks(columns)
    filled = np.diff(steps.indptr) > 0
    oldest = np.zeros(products, dtype=np.float32)
    np.maximum.at(oldest, columns, ages)
    youngest = np.full(products, ages.max(initial=0.0), dtype=np.float32)
    np.minimum.at(youngest, columns, ages)
    stays = (columns[1:] == columns[:-1]) & (rows[1:] == rows[:-1])
    firsts = np.unique(rows * products + columns)
    made: dict[str, npt.NDArray[Any]] = {
        "popularity": popularity,
        "recent": clicks(columns[ages < RECENT]) / np.maximum(popularity, 1),
        "oldest": oldest,
        "youngest": youngest,
        "opens": clicks(columns[steps.indptr[:-1][filled]]) / np.maximum(popularity, 1),
        "ends": clicks(columns[steps.indptr[1:][filled] - 1]) / np.maximum(popularity, 1),
        "stays": clicks(columns[1:][stays]) / np.maximum(popularity, 1),
        "returns": (popularity - clicks(firsts % products)) / np.maximum(popularity, 1),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


def shares(relation: Matrix) -> Matrix:
    """Each row divided by its sum."""
    sums = np.asarray(relation.sum(axis=1), dtype=np.float64).ravel()
    scale = np.repeat(np.where(sums > 0, sums, 1.0), np.diff(relation.indptr))
    data = (relation.data / scale).astype(np.float32)
    return sp.csr_matrix((data, relation.indices, relation.indptr), shape=relation.shape)


def latest(steps: Steps, products: int) -> Matrix:
    """People × products: how much each of the latest clicks counts."""
    lengths = np.diff(steps.indptr)
    ago = np.repeat(steps.indptr[1:], lengths) - 1 - np.arange(len(steps.columns))
    asked = ago < ASKED
    made = sp.csr_matrix(
        (np.exp(-ago[asked] / DECAY).astype(np.float32), (steps.rows[asked], steps.columns[asked])),
        shape=(len(lengths), products),
    )
    made.sum_duplicates()
    return made


def greatest(rows: Places, scores: Floats, people: int) -> Floats:
    """Each person's greatest score; 0 without one."""
    made = np.zeros(people, dtype=np.float32)
    np.maximum.at(made, rows, scores)
    return made


def places(rows: Places, scores: Floats) -> Places:
    """Each entry's place by score in its person's list, from 0; ties by order."""
    order = np.lexsort((np.arange(len(rows)), -scores, rows))
    made = np.empty(len(rows), dtype=np.int64)
    made[order] = np.arange(len(rows)) - np.searchsorted(rows, rows, side="left")
    return made


def distinct(steps: Steps, products: int) -> Places:
    """How many products each person took."""
    some = np.unique(steps.rows * products + steps.columns)
    return np.bincount(some // products, minlength=len(steps.indptr) - 1)


@compiled
def _relate(
    first: int,
    last: int,
    indptr: Places,
    taken: npt.NDArray[np.int32],
    decay: float,
    asked: int,
    relation_indptr: npt.NDArray[np.int32],
    relation_indices: npt.NDArray[np.int32],
    relation_data: Floats,
    starts: Places,
    columns: Places,
    of_all: Floats,
    of_last: Floats,
    sums: Floats,
) -> None:
    """Fill entries ``starts[first]`` to ``starts[last]``; ``sums`` is 0 on entry and afterwards."""
    for person in range(first, last):
        end = indptr[person + 1]
        begin = max(indptr[person], end - asked)
        for entry in range(end - 1, begin - 1, -1):
            weight = np.float32(np.exp(-(end - 1 - entry) / decay))
            for place in range(relation_indptr[taken[entry]], relation_indptr[taken[entry] + 1]):
                sums[relation_indices[place]] += weight * relation_data[place]
            if entry == end - 1:
                for candidate in range(starts[person], starts[person + 1]):
                    of_last[candidate] = sums[columns[candidate]]
        for candidate in range(starts[person], starts[person + 1]):
            of_all[candidate] = sums[columns[candidate]]
        for entry in range(begin, end):
            for place in range(relation_indptr[taken[entry]], relation_indptr[taken[entry] + 1]):
                sums[relation_indices[place]] = 0.0


@compiled
def _clicked(indptr: Places, taken: npt.NDArray[np.int32], rows: Places, columns: Places) -> tuple[Places, Places]:
    """Of each entry: clicks since the person's own last one on it, 1 if it is their last; 0 without. And how many."""
    ago, clicks = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    for candidate in range(len(rows)):
        end = indptr[rows[candidate] + 1]
        for entry in range(indptr[rows[candidate]], end):
            if taken[entry] == columns[candidate]:
                clicks[candidate] += 1
                ago[candidate] = end - entry
    return ago, clicks
