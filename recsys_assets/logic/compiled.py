"""Loops that no column or matrix operation says, compiled by numba when they are first called."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import config, njit

# Threads where none are asked for: the cores that this process may use.
CORES = int(config.NUMBA_NUM_THREADS)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """``function``, compiled for the types that it is called with and kept on disk for the next process.

    Its calls hold no GIL, so that threads can share the work by people; inside, everything is sequential: a sum that
    threads would split could differ in its last bit (promise 5).
    """
    made: _Function = njit(cache=True, nogil=True)(function)
    return made
