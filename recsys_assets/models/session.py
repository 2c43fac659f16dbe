"""What came next in sessions like this one."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys_assets.models.base import Arrays, Floats, Interactions, Matrix, Steps, names
from recsys_assets.models.multiply import by_rows
from recsys_assets.models.session_loops import LONGEST, Int64s, Room, Sessions, Told, fill, gathered, look_up, pick
from recsys_assets.models.top import Picks

# People that a thread scores before it takes the next ones.
CHUNK = 256


class Session:
    """Session nearest neighbours with the recency, position and rarity weights of STAN and VSTAN.

    The history's latest visit is held against the most recent sessions that share a product with it. A session is as
    close as Σ over shared products of e^(−steps ago ÷ ``step_decay``) · idf^``idf_exponent``, to the power of
    ``closeness``, times e^(−age ÷ ``recency``), divided by its length^``length_exponent``. It puts forward its
    products, by their distance from the latest shared one: e^(−(distance − 1) ÷ ``reach``), times ``backward`` for
    what came before it and ``itself`` for the shared one. Sums are divided by the product's
    sessions^``popularity_exponent`` (Garg et al. 2019, "Sequence and Time Aware Neighborhood for Session-based
    Recommendations"; Ludewig et al. 2021, "Empirical analysis of session-based recommendation algorithms").

    All sessions that share a product count, not the closest hundred as published: with the power of ``closeness`` the
    cut gains nothing and costs a sort. The work per person is bounded by ``steps`` · ``recent`` sessions.

    Args:
        recent: the most recent sessions of a product that are asked.
        visits: latest visits of the history that are looked at.
        steps: latest entries of them that count.
        step_decay: steps after which an entry counts 1/e.
        recency: days after which a session counts 1/e.
        closeness: power of the similarity; above 1 the closest sessions rule.
        idf_exponent: 0 treats all shared products alike.
        length_exponent: 0 does not mind long sessions.
        reach: steps after which a product of a neighbour counts 1/e.
        backward: weight of what a neighbour took before the shared product.
        itself: weight of the shared product.
        popularity_exponent: 0 leaves the popular on top.
        threads: 0 = all cores; never changes a result.
    """

    name = "session"

    def __init__(
        self,
        *,
        recent: int = 2500,
        visits: int = 1,
        steps: int = 20,
        step_decay: float = 3.0,
        recency: float = 90.0,
        closeness: float = 1.6,
        idf_exponent: float = 1.5,
        length_exponent: float = 0.2,
        reach: float = 6.0,
        backward: float = 1.0,
        itself: float = 1.0,
        popularity_exponent: float = 0.2,
        threads: int = 0,
    ) -> None:
        self._parameters: dict[str, Any] = {
            "recent": recent,
            "visits": visits,
            "steps": steps,
            "step_decay": step_decay,
            "recency": recency,
            "closeness": closeness,
            "idf_exponent": idf_exponent,
            "length_exponent": length_exponent,
            "reach": reach,
            "backward": backward,
            "itself": itself,
            "popularity_exponent": popularity_exponent,
        }
        self._threads = threads

    @property
    def parameters(self) -> dict[str, Any]:
        """What the constructor takes."""
        return self._parameters

    def fit(self, train: Interactions) -> None:
        """Count the sessions of each product, and meet the people of ``train``."""
        self.product_ids = train.product_ids
        self.meet(train)
        self._counts = np.diff(self.neighbours.product_indptr)
        self._total = np.array([len(self.neighbours.ages)], dtype=np.int64)

    def meet(self, people: Interactions) -> None:
        """Ask the sessions of ``people`` from now on."""
        self.neighbours = Sessions.of(people.steps, len(people.product_ids))

    def retuned(self, **changes: Any) -> Session:
        """The same counts and sessions under other parameters: a search need not gather them for each trial."""
        other = Session(**(self._parameters | changes), threads=self._threads)
        other.product_ids, other.neighbours = self.product_ids, self.neighbours
        other._counts, other._total = self._counts, self._total
        return other

    def scores(self, history: Interactions) -> Floats:
        """People × products, float32."""
        made = np.zeros((len(history.person_keys), len(self.product_ids)), dtype=np.float32)
        told = self._told(history.steps)
        by_rows(
            lambda first, last: fill(first, last, told, self._room(), made), len(made), self._threads, at_once=CHUNK
        )
        return made

    def sparse_scores(self, history: Interactions) -> Matrix:
        """The same without the zeros."""
        told = self._told(history.steps)
        people = len(history.person_keys)
        none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        parts = by_rows(
            lambda first, last: gathered(first, last, told, self._room()), people, self._threads, at_once=CHUNK
        )
        lengths, columns, scores = (np.concatenate(pieces) for pieces in zip(none, *parts, strict=True))
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return sp.csr_matrix((scores, columns, indptr), shape=(people, len(self.product_ids)))

    def best(self, history: Interactions, depth: int) -> Picks:
        """Each person's ``depth`` best products by the same scores, without a row of all products per person."""
        told = self._told(history.steps)
        columns = np.zeros((len(history.person_keys), depth), dtype=np.int32)
        scores = np.zeros(columns.shape, dtype=np.float32)
        by_rows(
            lambda first, last: pick(first, last, told, self._room(), columns, scores),
            len(columns),
            self._threads,
            at_once=CHUNK,
        )
        rows, places = np.nonzero(scores > 0)
        return Picks(rows, columns[rows, places].astype(np.int64), scores[rows, places])

    def at(self, history: Interactions, rows: Int64s, columns: Int64s) -> Floats:
        """The same scores of some entries only, which are ordered by row."""
        told = self._told(history.steps)
        people = len(history.person_keys)
        starts = np.searchsorted(rows, np.arange(people + 1))
        made = np.zeros(len(rows), dtype=np.float32)
        by_rows(
            lambda first, last: look_up(first, last, told, self._room(), starts, columns, made),
            people,
            self._threads,
            at_once=CHUNK,
        )
        return made

    def arrays(self) -> Arrays:
        """How many sessions hold each product, and how many there are: item-side; the sessions stay with the people."""
        return {"product_ids": self.product_ids, "counts": self._counts, "total": self._total}

    def restore(self, arrays: Arrays) -> None:
        """The reverse of ``arrays``; it has nothing to say until it meets people."""
        self.product_ids = names(arrays)
        self._counts, self._total = arrays["counts"].astype(np.int64), arrays["total"].astype(np.int64)
        self.neighbours = Sessions.of(Steps.none(0), len(self.product_ids))

    def _told(self, steps: Steps) -> Told:
        """What the loops read of ``steps``, the sessions and the parameters."""
        given, known = self._parameters, self.neighbours
        sessions = np.maximum(self._counts, 1).astype(np.float64)
        lengths = np.diff(known.indptr).astype(np.float64)
        distances = np.arange(LONGEST, dtype=np.float64)
        return Told(
            people=steps.indptr,
            taken=steps.columns,
            baskets=steps.baskets,
            visits=steps.visits,
            indptr=known.indptr,
            columns=known.columns,
            places=known.places,
            product_indptr=known.product_indptr,
            sessions=known.sessions,
            last_entries=known.last_entries,
            rarity=np.log1p(self._total / sessions) ** given["idf_exponent"],
            standing=np.exp(-known.ages.astype(np.float64) / given["recency"]) * lengths ** -given["length_exponent"],
            near=np.exp(-(distances - 1).clip(0) / given["reach"]),
            penalty=sessions ** -given["popularity_exponent"],
            backward=float(given["backward"]),
            itself=float(given["itself"]),
            closeness=float(given["closeness"]),
            step_decay=float(given["step_decay"]),
            recent=int(given["recent"]),
            latest_visits=int(given["visits"]),
            steps=int(given["steps"]),
        )

    def _room(self) -> Room:
        """Room for one thread."""
        sessions, products = len(self.neighbours.ages), len(self.product_ids)
        return Room(
            shared=np.zeros(sessions),
            anchors=np.zeros(sessions, dtype=np.int64),
            met=np.zeros(sessions, dtype=np.int32),
            sums=np.zeros(products),
            found=np.zeros(products, dtype=np.int32),
        )
