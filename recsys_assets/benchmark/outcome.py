"""What a protocol found, in the words that all protocols share."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from recsys_assets.errors import RefusedError

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Progress that nobody reads."""


@dataclass
class Clock:
    """Seconds spent fitting (choosing included) and scoring the test."""

    seconds: dict[str, float] = field(default_factory=lambda: {"fit": 0.0, "score": 0.0})

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Count the block as ``fit`` or ``score``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - started


@dataclass(frozen=True)
class Outcome:
    """One run of a protocol.

    Attributes:
        protocol: its name.
        model: the model that was measured.
        metrics: figures on the test, as fractions, by ``metric@k``.
        validation: by model, the same on the slice that choices were made on.
        choice: what was chosen there, as JSON values.
        clock: seconds of fitting and scoring.
    """

    protocol: str
    model: str
    metrics: dict[str, float]
    validation: dict[str, dict[str, float]]
    choice: dict[str, Any]
    clock: Clock

    def to_json(self) -> dict[str, Any]:
        """One flat object: metric keys, model, seconds, peak memory; choice and validation beside them."""
        return {
            **{name: round(value, 6) for name, value in self.metrics.items()},
            "model": self.model,
            "fit_seconds": round(self.clock.seconds["fit"], 2),
            "score_seconds": round(self.clock.seconds["score"], 2),
            "peak_mb": round(peak_mb(), 1),
            "protocol": self.protocol,
            "validation": {
                model: {name: round(value, 6) for name, value in figures.items()}
                for model, figures in self.validation.items()
            },
            "choice": self.choice,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        names = list(dict.fromkeys(name for figures in self.validation.values() for name in figures))
        width = max([len(model) for model in (*self.validation, self.model)])
        told = [f"{'validation':<{width}}  {'  '.join(f'{name:>12}' for name in names)}"] if names else []
        for model, figures in self.validation.items():
            shown = (f"{figures[name]:>12.4f}" if name in figures else " " * 12 for name in names)
            told.append(f"{model:<{width}}  {'  '.join(shown)}")
        told += [f"chosen: {json.dumps(self.choice)}"] if self.choice else []
        told += ["test: " + "  ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())]
        fit, score = self.clock.seconds["fit"], self.clock.seconds["score"]
        told.append(f"{self.model}: fitted in {fit:.1f} s, scored in {score:.1f} s, peak {peak_mb():,.0f} MB")
        return told


def peak_mb() -> float:
    """The most memory that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def known_model(name: str | None, names: Sequence[str]) -> str | None:
    """``name``, which is one of ``names`` or None.

    Raises:
        RefusedError: there is no such model in this protocol.
    """
    if name is not None and name not in names:
        raise RefusedError(f"this protocol has no model {name!r}; it has {', '.join(names)}")
    return name
