"""`recsys demo`: a whole day on real purchases, from a bare home to an answer over HTTP, on one screen."""

import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
import polars as pl

from recsys_assets.commands.email import write_order_confirmation
from recsys_assets.commands.output import JSON, announcer, plain, print_line
from recsys_assets.commands.run import Stage, launch, stages_json
from recsys_assets.errors import StoreError
from recsys_assets.local.up import platform
from recsys_assets.settings import CHECKOUT, Home, Source, init_home, load_settings
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.publishing import Generation, generations
from recsys_assets.tables import (
    CATALOG,
    CLEAN_EVENTS,
    COMPARISONS,
    DELIVERY_AUDIT,
    EVALUATION,
    MICROS,
    REJECTED_EVENTS,
)

FIRST_DAY, LAST_DAY = date(2017, 1, 1), date(2017, 12, 31)
TIME_ZONE = "America/New_York"  # in it the file's seconds fill the year 2017 exactly
ORDER_LINES = 3
HOUSEHOLD, STRANGER = "2375", "somebody new"
API_SECONDS = 20.0
SERVICES = ("dagster-webserver", "dagster-daemon", "api")
MODELS = ("random", "popularity", "personal", "item_cf", "als", "blend", "published", "ceiling")
PAIRS = (("blend", "popularity", "new", "new products"), ("published", "personal", "all", "repeats allowed"))


@click.command()
@JSON
def demo(as_json: bool) -> None:
    """Run a whole day on Complete Journey: 1.47 million real purchase lines of 2,469 households."""
    started, say = time.monotonic(), announcer(as_json)
    settings = load_settings()
    home = init_home(
        settings,
        first_day=FIRST_DAY,
        last_day=LAST_DAY,
        time_zone=TIME_ZONE,
        currency="USD",
        shop_name="Complete Journey",
        sources=(Source(format="complete_journey", path="package"),),
    )
    with platform(settings, home, SERVICES, say) as running:
        stages = {
            "history": launch(running, "history", (FIRST_DAY, LAST_DAY), say),
            "daily": launch(running, "daily", (LAST_DAY, LAST_DAY), say),
        }
        live = next(generation for generation in generations(running.servers.postgres_url) if generation.live)
        wait_for(running.address("api"), live.generation)
        bought = last_order(home, Lake(home.lake_url).read(CATALOG, LAST_DAY))
        visit = [("recent", line["product_id"]) for line in bought["lines"]]
        asked = [urllib.parse.urlencode(query) for query in ([("userId", HOUSEHOLD)], [("userId", STRANGER)], visit)]
        answers = {query: ask(running.address("api"), query) for query in asked}
        offered = offer(running.address("api"))
        order = home.exports / "mail" / "order.json"
        order.parent.mkdir(parents=True, exist_ok=True)
        order.write_text(json.dumps(bought, indent=1))
        mail = write_order_confirmation(running.servers, home, home.keys.user_key(HOUSEHOLD), order, order.parent)
    seconds = time.monotonic() - started
    if as_json:
        told = {job: stages_json(written) for job, written in stages.items()}
        print_line({"home": home.path, "seconds": seconds, "live": plain(live), "stages": told, "mail": mail})
    else:
        click.echo("\n".join(screen(home, stages, answers, offered, mail, live, seconds)))


def ask(api: str, query: str) -> Mapping[str, Any]:
    """One answer of the API, over HTTP: three products."""
    return _get(f"{api}/api/recommendations?{query}&limit=3")


def offer(api: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The household's plan, and what is offered for it of their list, over HTTP."""
    listed = _get(f"{api}/api/recommendations?{urllib.parse.urlencode({'userId': HOUSEHOLD, 'limit': 50})}")
    planned = _post(f"{api}/mcp/planner", {"userId": HOUSEHOLD})
    slice_ = [product["id"] for product in listed["products"]]
    asked = {"plan": planned["plan"], "catalogSlice": slice_, "userId": HOUSEHOLD}
    return planned, _post(f"{api}/mcp/generator", asked)


def wait_for(api: str, generation: int) -> None:
    """Returns when the API serves a generation: it looks at the pointer once a second.

    Raises:
        StoreError: it does not within `API_SECONDS`.
    """
    deadline = time.monotonic() + API_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreError):  # 503 before the first generation
            if _get(f"{api}/api/v1/health")["generation"] == generation:
                return
        time.sleep(0.1)
    raise StoreError(f"the API at {api} does not serve generation {generation} after {API_SECONDS:.0f} s.")


def _get(url: str) -> Mapping[str, Any]:
    return _asked(urllib.request.Request(url))  # noqa: S310  our own API


def _post(url: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    headers = {"Content-Type": "application/json"}
    return _asked(urllib.request.Request(url, json.dumps(body).encode(), headers))  # noqa: S310  our own API


def _asked(request: urllib.request.Request) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  our own API
            answer: Mapping[str, Any] = json.load(response)
            return answer
    except urllib.error.URLError as error:
        raise StoreError(f"{request.get_method()} {request.full_url}: {error}") from error


def last_order(home: Home, catalog: pl.DataFrame) -> dict[str, Any]:
    """The household's newest purchase of several products, as an order that a shop would send to the e-mail."""
    lake = Lake(home.lake_url)
    bought = (
        lake.scan(CLEAN_EVENTS, lake.days(CLEAN_EVENTS))
        .filter((pl.col.user_key == home.keys.user_key(HOUSEHOLD)) & (pl.col.event_type == "purchase"))
        .filter(pl.len().over("order_id") >= ORDER_LINES)
        .collect()
        .join(catalog.select("product_id", "name"), on="product_id")
        .drop_nulls("name")
        .sort("event_time", "event_id")
    )
    lines = bought.filter(pl.col.order_id == bought["order_id"][-1]).head(ORDER_LINES)
    return {
        "order_id": lines["order_id"][0],
        "currency": home.config.currency,
        "lines": [
            {
                "product_id": row["product_id"],
                "name": row["name"],
                "quantity": row["quantity"],
                "unit_price": row["unit_price_micros"] / MICROS,
                "list_price": row["list_price_micros"] / MICROS,
            }
            for row in lines.iter_rows(named=True)
        ],
    }


def screen(
    home: Home,
    stages: Mapping[str, Sequence[Stage]],
    answers: Mapping[str, Mapping[str, Any]],
    offered: tuple[Mapping[str, Any], Mapping[str, Any]],
    mail: Sequence[Path],
    live: Generation,
    seconds: float,
) -> list[str]:
    """The lines of the one screen that a demo ends with."""
    lake = Lake(home.lake_url)
    lines = [
        "",
        f"A whole day on Complete Journey, {FIRST_DAY} to {LAST_DAY}, in {seconds:.0f} s",
        "",
        *_input(lake),
        "",
        *_models(lake.read(EVALUATION, live.day), lake.read(COMPARISONS, live.day)),
        "",
        f"Live      generation {live.generation} for {live.day}, model {live.model_version}",
        *_answers(answers, lake.read(CATALOG, live.day)),
        *_offers(*offered),
        f"E-mail    {mail[0]}",
        "",
        *_stages(stages),
        "",
        f"All is stopped again. To look around:  RECSYS_HOME='{home.path}' '{CHECKOUT / '.venv/bin/recsys'}' up",
    ]
    return [line.rstrip() for line in lines]


def _input(lake: Lake) -> list[str]:
    audit = lake.scan(DELIVERY_AUDIT, lake.days(DELIVERY_AUDIT))
    counted = audit.select(pl.col("rows", "clean", "rejected", "duplicates").sum()).collect().row(0, named=True)
    reasons = lake.scan(REJECTED_EVENTS, lake.days(REJECTED_EVENTS)).collect()["reason"].value_counts(sort=True).rows()
    return [
        f"Rows in {counted['rows']:>11,}",
        f"  clean {counted['clean']:>11,}",
        f"  rejected {counted['rejected']:>8,}   " + ", ".join(f"{reason} {count:,}" for reason, count in reasons),
        f"  duplicates {counted['duplicates']:>6,}",
    ]


def _models(metrics: pl.DataFrame, comparisons: pl.DataFrame) -> list[str]:
    test = metrics.filter((pl.col.split == "test") & (pl.col.metric == "ndcg") & (pl.col.k == 10))
    figures = {(row["model"], row["target"]): row for row in test.iter_rows(named=True)}

    def cell(model: str, target: str) -> str:
        row = figures.get((model, target))
        return f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]" if row else ""

    lines = [f"{'NDCG@10, last 14 days unseen':<32}{'new products':<28}{'repeats allowed':<28}"]
    lines += [f"  {model:<30}{cell(model, 'new'):<28}{cell(model, 'all'):<28}" for model in MODELS]
    for model, baseline, target, what in PAIRS:
        pair = comparisons.filter(
            (pl.col.split == "test") & (pl.col.metric == "ndcg") & (pl.col.k == 10) & (pl.col.target == target)
            & (pl.col.model == model) & (pl.col.baseline == baseline)
        )  # fmt: skip
        for row in pair.iter_rows(named=True):
            lines.append(
                f"  {model} − {baseline}, {what}: {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], "
                f"paired, {row['people']:,} people"
            )
    return lines


def _answers(answers: Mapping[str, Mapping[str, Any]], catalog: pl.DataFrame) -> list[str]:
    names = dict(catalog.select("product_id", "name").iter_rows())
    lines = []
    for query, answer in answers.items():
        fallback = f"   fallback: {answer['fallback']}" if answer["fallback"] else ""
        lines.append(f"API       GET /api/recommendations?{query}&limit=3{fallback}")
        for product in answer["products"]:
            name = (names[product["id"]] or "")[:34]
            lines.append(f"            {product['id']:>8}  {name:<34}  {product['score']:.3f}  {product['reason']}")
    return lines


def _offers(planned: Mapping[str, Any], offered: Mapping[str, Any]) -> list[str]:
    plan = planned["plan"]
    chances = plan["intentProbabilities"]
    likeliest = ", ".join(f"{one['category']} {one['probability']:.2f}" for one in plan["targetCategories"])
    budget = plan["budget"]
    lines = [
        f"API       POST /mcp/planner for userId={HOUSEHOLD}: {plan['intent']} ({chances[plan['intent']]:.2f}), "
        f"{plan['trigger']}, {budget['low']:.2f} to {budget['high']:.2f} {budget['currency']}",
        f"            {likeliest}",
        "API       POST /mcp/generator with this plan and the person's list",
    ]
    for one in offered["recommendations"]:
        words = f"{one['headline']} {one['sentence']} [{one['callToAction']}]"
        lines.append(f"            {one['productId']:>8}  {one['price']:>6.2f}  {words}")
    return lines


def _stages(stages: Mapping[str, Sequence[Stage]]) -> list[str]:
    lines = []
    for job, written in stages.items():
        cells = [f"{stage.asset:<21}{stage.rows:>9,} rows{stage.seconds:>6.1f} s" for stage in written]
        half = (len(cells) + 1) // 2
        pairs = zip(cells[:half], [*cells[half:], ""][:half], strict=True)
        lines += [f"{'' if row else job:<10}{one}     {other}" for row, (one, other) in enumerate(pairs)]
    return lines


COMMANDS = (demo,)
