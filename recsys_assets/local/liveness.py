"""Whether what a `recsys up` has started still lives and answers: looked at, not read in a file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psycopg
import redis

from recsys_assets.local.answers import answers
from recsys_assets.local.processes import born
from recsys_assets.local.state import Process, State

SECONDS = 2

Condition = Literal["runs", "silent", "dead"]


@dataclass(frozen=True)
class Look:
    """One program. ``silent``: its process lives, and its port does not answer within `SECONDS`."""

    process: Process
    state: Condition


def conditions(state: State) -> list[Look]:
    """Every program of a home, in the order of the state."""
    asked: dict[str, Callable[[], bool]] = {
        "postgres": lambda: _postgres(state.postgres_url),
        "valkey": lambda: _valkey(state.redis_url),
    }
    found = []
    for process in state.processes:
        if born(process.pid) != process.born:
            found.append(Look(process, "dead"))
            continue
        port = process.address.rpartition(":")[2]
        ask = asked.get(process.name, lambda port=port: not port or answers(int(port), "/", SECONDS))
        found.append(Look(process, "runs" if ask() else "silent"))
    return found


def _postgres(url: str) -> bool:
    try:
        psycopg.connect(url + "postgres", connect_timeout=SECONDS).close()
    except psycopg.Error:
        return False
    return True


def _valkey(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            client.ping()
    except redis.RedisError:
        return False
    return True
