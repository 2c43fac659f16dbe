"""Sessions by product, and the loops over those that share products with a person's latest steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_assets.logic.compiled import compiled
from recsys_assets.models.base import Floats, Steps

# Entries of one session that are looked at, the latest: a robot's session of a million views costs no more than that.
LONGEST = 200

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sessions:
    """Sessions of two entries or more, the oldest first, and where each product occurs in them.

    Entries of session s are ``indptr[s]:indptr[s + 1]`` of ``columns`` and ``places`` (its baskets, from 0);
    ``ages`` is the age of its last entry. Sessions with product p, the oldest first, are
    ``product_indptr[p]:product_indptr[p + 1]`` of ``sessions``; ``last_entries`` is the last entry of p in them.
    """

    indptr: Int64s
    columns: Int32s
    places: Int32s
    ages: Floats
    product_indptr: Int64s
    sessions: Int32s
    last_entries: Int64s

    @classmethod
    def of(cls, steps: Steps, products: int) -> Sessions:
        """The sessions of ``steps``: entries of one person and visit."""
        rows, visits = steps.rows, steps.visits
        first = np.ones(len(rows), dtype=np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (visits[1:] != visits[:-1])
        starts = np.flatnonzero(first)
        stops = np.append(starts[1:], len(rows))[: len(starts)]
        starts = np.maximum(starts, stops - LONGEST)
        starts, stops = starts[stops - starts > 1], stops[stops - starts > 1]
        ages = steps.ages[stops - 1]
        order = np.argsort(-ages, kind="stable")
        starts, lengths = starts[order], (stops - starts)[order]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        columns, baskets = steps.columns[entries], steps.baskets[entries]
        later = np.zeros(len(entries), dtype=np.int32)
        later[1:] = np.cumsum(baskets[1:] != baskets[:-1])
        places = later - np.repeat(later[indptr[:-1]], lengths)
        return cls(indptr, columns, places, ages[order], *_occurrences(indptr, columns, products))


class Told(NamedTuple):
    """What the loops read: the people's steps, the sessions, and the weights as tables."""

    people: Int64s
    taken: Int32s
    baskets: Int32s
    visits: Int32s
    indptr: Int64s
    columns: Int32s
    places: Int32s
    product_indptr: Int64s
    sessions: Int32s
    last_entries: Int64s
    rarity: Doubles
    standing: Doubles
    near: Doubles
    penalty: Doubles
    backward: float
    itself: float
    closeness: float
    step_decay: float
    recent: int
    latest_visits: int
    steps: int


class Room(NamedTuple):
    """What the loops write on the way: by session what it shares and where, by product the sums."""

    shared: Doubles
    anchors: Int64s
    met: Int32s
    sums: Doubles
    found: Int32s


@compiled
def _occurrences(indptr: Int64s, columns: Int32s, products: int) -> tuple[Int64s, Int32s, Int64s]:
    """Where each product's sessions start, the sessions in order, and the last entry that holds it in each."""
    counts = np.zeros(products + 1, dtype=np.int64)
    latest = np.full(products, -1, dtype=np.int64)
    for session in range(len(indptr) - 1):
        for column in columns[indptr[session] : indptr[session + 1]]:
            if latest[column] != session:
                latest[column] = session
                counts[column + 1] += 1
    product_indptr = np.cumsum(counts)
    ends = product_indptr[:-1].copy()
    sessions = np.zeros(product_indptr[-1], dtype=np.int32)
    last_entries = np.zeros(product_indptr[-1], dtype=np.int64)
    latest[:] = -1
    for session in range(len(indptr) - 1):
        for entry in range(indptr[session], indptr[session + 1]):
            column = columns[entry]
            if latest[column] != session:
                latest[column] = session
                sessions[ends[column]] = session
                ends[column] += 1
            last_entries[ends[column] - 1] = entry
    return product_indptr, sessions, last_entries


@compiled
def _meet(person: int, told: Told, room: Room) -> int:
    """How many sessions share a product with the person's latest steps; they, what and where they share: in ``room``.

    The latest step that is shared is the anchor. A product that the person took twice counts once, at its last step.
    """
    first, last = told.people[person], told.people[person + 1]
    neighbours = 0
    for entry in range(last - 1, max(first, last - told.steps) - 1, -1):
        if told.visits[entry] <= told.visits[last - 1] - told.latest_visits:
            break
        column = told.taken[entry]
        repeated = False
        for later in range(entry + 1, last):
            if told.taken[later] == column:
                repeated = True
                break
        if repeated:
            continue
        ago = told.baskets[last - 1] - told.baskets[entry]
        weight = max(np.exp(-ago / told.step_decay) * told.rarity[column], 1e-30)
        until = told.product_indptr[column + 1]
        for place in range(max(told.product_indptr[column], until - told.recent), until):
            session = told.sessions[place]
            if room.shared[session] == 0.0:
                room.met[neighbours] = session
                neighbours += 1
                room.anchors[session] = told.last_entries[place]
            room.shared[session] += weight
    return neighbours


@compiled
def _gather(person: int, told: Told, room: Room) -> int:
    """Sums of one person's neighbours, of as many products as it returns, which ``room.found`` holds.

    ``room.shared`` and ``room.sums`` are 0 on entry, as ``shared`` is again afterwards; the caller clears ``sums``.
    """
    size = 0
    for session in room.met[: _meet(person, told, room)]:
        close = room.shared[session] ** told.closeness * told.standing[session]
        room.shared[session] = 0.0
        anchor = room.anchors[session]
        for entry in range(told.indptr[session], told.indptr[session + 1]):
            distance = told.places[entry] - told.places[anchor]
            if entry == anchor:
                near = told.itself
            elif distance >= 0:
                near = told.near[distance]
            else:
                near = told.near[-distance] * told.backward
            value = close * near
            if value > 0.0:
                column = told.columns[entry]
                if room.sums[column] == 0.0:
                    room.found[size] = column
                    size += 1
                room.sums[column] += value
    return size


@compiled
def fill(first: int, last: int, told: Told, room: Room, made: Floats) -> None:
    """Rows ``first`` to ``last`` of people × products."""
    for person in range(first, last):
        size = _gather(person, told, room)
        for column in room.found[:size]:
            made[person, column] = room.sums[column] * told.penalty[column]
            room.sums[column] = 0.0


@compiled
def gathered(first: int, last: int, told: Told, room: Room) -> tuple[Int64s, Int32s, Floats]:
    """How many scores people ``first`` to ``last`` have above 0, of which columns, and the scores."""
    lengths = np.zeros(last - first, dtype=np.int64)
    columns, scores = np.empty(1024, dtype=np.int32), np.empty(1024, dtype=np.float32)
    filled = 0
    for person in range(first, last):
        size = _gather(person, told, room)
        if filled + size > len(columns):
            more = filled + size  # at least as much again
            columns = np.concatenate((columns[:filled], np.empty(more, dtype=np.int32)))
            scores = np.concatenate((scores[:filled], np.empty(more, dtype=np.float32)))
        for column in room.found[:size]:
            columns[filled] = column
            scores[filled] = room.sums[column] * told.penalty[column]
            room.sums[column] = 0.0
            filled += 1
        lengths[person - first] = size
    return lengths, columns[:filled].copy(), scores[:filled].copy()


@compiled
def _before(score: np.float32, column: int, other: np.float32, other_column: int) -> bool:
    """Whether the one is listed before the other."""
    return bool(score > other or (score == other and column < other_column))


@compiled
def pick(first: int, last: int, told: Told, room: Room, columns: Int32s, scores: Floats) -> None:
    """Rows ``first`` to ``last`` of people × depth: the best columns, ties by column, and their scores."""
    depth = columns.shape[1]
    for person in range(first, last):
        filled = 0
        for column in room.found[: _gather(person, told, room)]:
            score = np.float32(room.sums[column] * told.penalty[column])
            room.sums[column] = 0.0
            place = min(filled, depth - 1)
            if filled == depth and _before(scores[person, place], columns[person, place], score, column):
                continue
            while place > 0 and _before(score, column, scores[person, place - 1], columns[person, place - 1]):
                scores[person, place] = scores[person, place - 1]
                columns[person, place] = columns[person, place - 1]
                place -= 1
            scores[person, place] = score
            columns[person, place] = column
            filled = min(filled + 1, depth)


@compiled
def look_up(first: int, last: int, told: Told, room: Room, starts: Int64s, columns: Int64s, scores: Floats) -> None:
    """Scores of entries that are named: those of a person go from its place in ``starts`` to the next one's."""
    for person in range(first, last):
        size = _gather(person, told, room)
        for entry in range(starts[person], starts[person + 1]):
            scores[entry] = room.sums[columns[entry]] * told.penalty[columns[entry]]
        for column in room.found[:size]:
            room.sums[column] = 0.0
