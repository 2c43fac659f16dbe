"""Prometheus metrics of one process. `grafana_dashboard.json` beside this file draws them."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recsys_assets.serving.asking import Breaker
from recsys_assets.serving.state import State

# Around what is promised, 50 ms for 95 of 100 answers; the upper ones are timeouts of the stores.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts of one application; a registry of its own, because tests make several in one process."""

    def __init__(self, state: State, *breakers: Breaker) -> None:
        # A second series for each one, which says when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "recsys_api_requests", "Requests.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "recsys_api_request_seconds", "Time until the whole answer was sent.", ("route",),
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._lists = Counter(
            "recsys_api_lists", "Lists for a person: hit, the own one; miss, another stood in.",
            ("list", "store"), registry=self.registry,
        )  # fmt: skip
        self._fallbacks = Counter(
            "recsys_api_fallbacks", "Lists that something stood in for.", ("kind",), registry=self.registry
        )
        for result in ("hit", "miss"):
            self._lists.labels(result, "redis")
        self._fallbacks.labels("popular")
        self.registry.register(_Stores(state, breakers))
        ProcessCollector(registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request that has been answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_lists(self, found: str | None, store: str, fallback: str | None, number: int) -> None:
        """Lists of one answer that are alike; ``found`` None: they were for nobody."""
        if found is not None:
            self._lists.labels(found, store).inc(number)
        if fallback is not None:
            self._fallbacks.labels(fallback).inc(number)

    def text(self) -> bytes:
        """As Prometheus reads them."""
        return generate_latest(self.registry)


class _Stores(Collector):
    """What the process knows of the stores at the moment it is asked."""

    def __init__(self, state: State, breakers: tuple[Breaker, ...]) -> None:
        self._state, self._breakers = state, breakers

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        state, live = self._state, self._state.live
        up = GaugeMetricFamily("recsys_store_up", "Whether a store answered last.", labels=("store",))
        up.add_metric(("postgres",), state.postgres)
        up.add_metric(("redis",), state.redis)
        yield up
        took = GaugeMetricFamily("recsys_store_look_seconds", "What the last look at a store took.", labels=("store",))
        for store, seconds in state.seconds.items():
            took.add_metric((store,), seconds)
        yield took
        failures = CounterMetricFamily(
            "recsys_store_read_failures", "Reads of a request that a store has not answered.", labels=("store",)
        )
        for breaker in self._breakers:
            failures.add_metric((breaker.store,), breaker.failures)
        yield failures
        yield GaugeMetricFamily("recsys_ready", "Whether the process wants requests.", state.ready)
        age = 0.0 if live is None else (datetime.now(UTC) - live.created_at).total_seconds()
        for name, what, value in (
            ("pointer_age_seconds", "Time since Postgres said what is live.", state.pointer_age),
            ("look_age_seconds", "Time since the stores were looked at.", state.look_age),
            ("generation", "Number of the live generation; 0: none.", live.generation if live else 0),
            ("generation_age_seconds", "Time since the live generation was made.", age),
            ("suppression_version", "Count of changes to suppressions.", live.suppression_version if live else 0),
            ("changed_products", "Products sold out or repriced since.", len(live.changes) if live else 0),
            ("tokens", "Tokens that are known, expired ones too.", len(state.tokens)),
        ):
            yield GaugeMetricFamily(f"recsys_{name}", what, value)
