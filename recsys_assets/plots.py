"""Pictures for Dagster's and MLflow's pages: frames → PNG bytes, 800 pixels wide, no clock, no global state.

The same frame gives the same bytes. Colours are Okabe and Ito's, which colour-blind people can tell apart.
"""

import base64
import io
from typing import TYPE_CHECKING

import polars as pl

from recsys_assets.tables import EVENT_TYPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT, _GRID = "#333333", "#767676", "#e6e6e6"
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_TYPE_COLOURS = dict(
    zip(
        EVENT_TYPES,
        ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#999999", "#CC79A7", "#F0E442", "#8c6d46", "#5f4b8b", "#44aa99",
         "#D55E00"),
        strict=True,
    )
)  # fmt: skip
_DPI = 100
_BOUNDS = ("random", "ceiling")  # the floor and the best attainable: no models


def markdown_image(png: bytes, alt: str) -> str:
    """A picture inside Markdown text, as Dagster's metadata shows it.

    >>> markdown_image(b"png", "Events per day")
    '![Events per day](data:image/png;base64,cG5n)'
    """
    return f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})"


def events_per_day(counts: pl.DataFrame) -> bytes:
    """Stacked columns per day; ``counts`` has event_date, event_type, count."""
    days = counts.get_column("event_date").unique().drop_nulls().sort()
    present = [kind for kind in EVENT_TYPES if kind in set(counts.get_column("event_type"))]
    figure, axes = _figure(3.6)
    if not days.len():
        return _nothing(figure, axes, "no events")
    floor = pl.DataFrame({"event_date": days, "_from": [0] * days.len()})
    for kind in present:
        of_kind = (
            counts.filter(pl.col("event_type") == kind).group_by("event_date").agg(pl.col("count").sum().alias("_n"))
        )
        floor = floor.join(of_kind, on="event_date", how="left", maintain_order="left").fill_null(0)
        axes.bar(
            floor.get_column("event_date").to_list(),
            floor.get_column("_n").to_list(),
            bottom=floor.get_column("_from").to_list(),
            width=_bar_width(days.len()),
            color=_TYPE_COLOURS[kind],
            label=kind.replace("_", " "),
        )
        floor = floor.select("event_date", pl.col("_from") + pl.col("_n"))
    total = int(counts.get_column("count").sum())
    _title(axes, "Events per day", f"{total:,} events on {_days(days.len())}")
    axes.set_ylabel("events")
    _per_day(axes, days)
    if len(present) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, reverse=True)
    return _png(figure)


def sessions_per_day(counts: pl.DataFrame) -> bytes:
    """Columns per day, the part that bought in another colour; ``counts`` has event_date, converted, count."""
    days = counts.get_column("event_date").unique().drop_nulls().sort()
    figure, axes = _figure(3.2)
    if not days.len():
        return _nothing(figure, axes, "no sessions")
    by_day = (
        counts.group_by("event_date")
        .agg(
            pl.col("count").filter(pl.col("converted")).sum().alias("_bought"),
            pl.col("count").filter(~pl.col("converted")).sum().alias("_other"),
        )
        .sort("event_date")
    )
    bought, other = by_day.get_column("_bought").to_list(), by_day.get_column("_other").to_list()
    width = _bar_width(days.len())
    axes.bar(days.to_list(), bought, width=width, color=_BLUE, label="with a purchase")
    axes.bar(days.to_list(), other, bottom=bought, width=width, color="#9ccbe8", label="without")
    total = sum(bought) + sum(other)
    _title(axes, "Sessions per day", f"{total:,} sessions on {_days(days.len())}, {sum(bought) / total:.1%} bought")
    axes.set_ylabel("sessions")
    _per_day(axes, days)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, reverse=True)
    return _png(figure)


def metrics_by_model(evaluation: pl.DataFrame, metric: str = "ndcg", k: int = 10) -> bytes:
    """Bars per model with 95 % intervals, all products and new products apart; ``evaluation`` is `EVALUATION`.

    Of several splits the test split is drawn. Random and the ceiling are lines, since no model lies beyond them.
    """
    rows = evaluation.filter((pl.col("metric") == metric) & (pl.col("k") == k))
    splits = rows.get_column("split").unique().sort()
    split = "test" if "test" in splits else (splits[0] if splits.len() else "")
    rows = rows.filter(pl.col("split") == split)
    targets = [target for target in ("all", "new") if target in set(rows.get_column("target"))]
    models = rows.filter(~pl.col("model").is_in(_BOUNDS)).get_column("model").n_unique()
    figure, _ = _figure(1.35 + 0.34 * max(models, 1), panels=max(len(targets), 1))
    if not targets or not models:
        return _nothing(figure, figure.axes[0], f"no {metric}@{k}")
    for axes, target in zip(figure.axes, targets, strict=True):
        _models(axes, rows.filter(pl.col("target") == target), target)
        axes.set_xlabel(f"{_METRIC_NAMES.get(metric, metric)}@{k}, 95 % interval", color=_INK)
    people = int(rows.get_column("people").max() or 0)  # type: ignore[arg-type]  # a column of whole numbers
    figure.suptitle(
        f"{_METRIC_NAMES.get(metric, metric)}@{k} on the {split} window, {people:,} people",
        x=0.01, ha="left", fontsize=12, fontweight="bold", color=_INK,
    )  # fmt: skip
    return _png(figure)


_METRIC_NAMES = {"ndcg": "NDCG", "map": "MAP", "auc": "AUC", "precision": "Precision", "recall": "Recall"}
_TARGET_NAMES = {"all": "All products", "new": "Products new to the person"}


def _models(axes: "Axes", rows: pl.DataFrame, target: str) -> None:
    bounds = {row["model"]: row["value"] for row in rows.iter_rows(named=True) if row["model"] in _BOUNDS}
    rows = rows.filter(~pl.col("model").is_in(_BOUNDS)).sort(pl.col("value").round(6), "model")
    names, values = rows.get_column("model").to_list(), rows.get_column("value").to_list()
    below = [max(v - low, 0.0) for v, low in zip(values, rows.get_column("low").to_list(), strict=True)]
    above = [max(high - v, 0.0) for v, high in zip(values, rows.get_column("high").to_list(), strict=True)]
    axes.barh(
        names, values, xerr=[below, above], height=0.62, color=[_BLUE if n == "blend" else "#9ccbe8" for n in names],
        error_kw={"ecolor": _INK, "elinewidth": 1.2, "capsize": 3},
    )  # fmt: skip
    edge = max([*rows.get_column("high").to_list(), *values]) or 1.0  # where no model hit anything
    for place, (value, high) in enumerate(zip(values, rows.get_column("high").to_list(), strict=True)):
        axes.text(max(value, high) + edge * 0.03, place, f"{value:.4f}", va="center", fontsize=9, color=_INK)
    axes.set_xlim(0, edge * 1.28)
    said = []
    for name, value in sorted(bounds.items()):
        if value <= edge * 1.28:
            axes.axvline(value, color=_ORANGE, linewidth=1.4, linestyle=":" if name == "random" else "--")
        said.append(f"{name} {value:.4f}")
    # A ceiling far off to the right would press the bars together: it is said, and drawn only where it fits.
    _title(axes, _TARGET_NAMES[target], "   ".join(said), size=10)
    axes.grid(axis="x", color=_GRID)
    axes.tick_params(axis="y", length=0)


def gains_by_history(slices: pl.DataFrame, metric: str = "ndcg") -> bytes:
    """What people gain over popularity after their first interactions, with 95 % intervals; ``slices`` is `SLICES`."""
    rows = slices.filter(
        (pl.col("split") == "test") & (pl.col("slice") == "after") & (pl.col("model") == "published")
        & (pl.col("target") == "new") & (pl.col("metric") == metric)
    ).sort("group")  # fmt: skip
    figure, axes = _figure(2.6)
    name = _METRIC_NAMES.get(metric, metric)
    if rows.is_empty():
        return _nothing(figure, axes, "nobody to measure")
    gains = rows.get_column("gain").to_list()
    below = [max(gain - low, 0.0) for gain, low in zip(gains, rows.get_column("gain_low").to_list(), strict=True)]
    above = [max(high - gain, 0.0) for gain, high in zip(gains, rows.get_column("gain_high").to_list(), strict=True)]
    axes.errorbar(
        rows.get_column("group").to_list(), gains, yerr=[below, above],
        color=_BLUE, ecolor=_INK, marker="o", elinewidth=1.2, capsize=3,
    )  # fmt: skip
    axes.axhline(0, color=_ORANGE, linewidth=1.4, linestyle="--")
    people, k = int(rows.get_column("people")[0]), int(rows.get_column("k")[0])
    _title(axes, f"{name}@{k} on new products, above popularity", f"{people:,} people, 95 % interval, paired")
    axes.set_xlabel("interactions that are known of a person", color=_INK)
    axes.grid(axis="y", color=_GRID)
    return _png(figure)


def _figure(height: float, panels: int = 1) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for place in range(panels):
        axes = figure.add_subplot(1, panels, place + 1)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(_FAINT)
        axes.tick_params(colors=_INK, labelsize=9)
    return figure, figure.axes[0]


def _title(axes: "Axes", title: str, below: str, size: int = 12) -> None:
    axes.set_title(title, loc="left", fontsize=size, fontweight="bold", color=_INK, pad=20)
    axes.text(0, 1.02, below, transform=axes.transAxes, fontsize=9, color=_FAINT, va="bottom")


def _per_day(axes: "Axes", days: pl.Series) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    span = (days[-1] - days[0]).days
    locator = AutoDateLocator(minticks=min(max(span, 1), 4), maxticks=9)  # a year has its months, two days no hours
    locator.intervald[3] = [1, 2, 3, 7, 14, 21]  # no ticks inside a day
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if days.len() == 1:
        axes.set_xticks([days[0]], [f"{days[0]}"])
        axes.set_xlim(days[0] - _half(), days[0] + _half())  # a lone column as wide as the picture says nothing
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=_GRID)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("day", color=_INK)


def _half() -> "object":
    from datetime import timedelta

    return timedelta(days=3)


def _bar_width(days: int) -> float:
    return 1.0 if days > 120 else 0.85  # thin gaps between hundreds of columns flicker


def _days(count: int) -> str:
    return f"{count:,} days" if count != 1 else "1 day"


def _nothing(figure: "Figure", axes: "Axes", what: str) -> bytes:
    axes.set_axis_off()
    axes.text(0.5, 0.5, what, ha="center", va="center", fontsize=12, color=_FAINT, transform=axes.transAxes)
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    # No "Software" line either: it would name matplotlib's version.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
