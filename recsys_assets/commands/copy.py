"""`recsys copy …`: what the words beside offers would cost, which were refused, and what a model can be tuned on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from recsys_assets.commands.output import JSON, WholeHelps, print_json
from recsys_assets.errors import NotFoundError, SourceError
from recsys_assets.logic.copy_prompts import PARTS
from recsys_assets.logic.copy_texts import ACCEPTED
from recsys_assets.settings import load_settings, open_home
from recsys_assets.stores.copy import CopyDesk
from recsys_assets.stores.lake import Lake
from recsys_assets.tables import PLANS
from recsys_assets.tuning import Tuning

DAY = click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Of which plans; default: the newest.")


@click.group("copy", cls=WholeHelps)
def copy_group() -> None:
    """The words beside offers: from a language model where RECSYS_LLM_URL is set, else from templates."""


def _opened() -> tuple[CopyDesk, Lake, Tuning, bool]:
    settings = load_settings()
    home = open_home(settings)
    lake = Lake(home.lake_url)
    return CopyDesk(lake, home.config.tuning, settings), lake, home.config.tuning, bool(settings.llm_url)


@copy_group.command()
@DAY
@JSON
def plan(day: datetime | None, as_json: bool) -> None:
    """Say how many texts a day needs and lacks, and what the missing ones cost at most; asks nobody anything."""
    desk, lake, tuning, writes = _opened()
    days = lake.days(PLANS)
    if not days:
        raise NotFoundError("no day has plans yet: run `recsys run daily` first.")
    of = day.date() if day else days[-1]
    found, today = desk.of(of), datetime.now(UTC).date()
    tokens, money = desk.estimate(found.missing)
    spent = desk.spent(today)
    told: dict[str, Any] = {
        "day": of,
        "texts": found.copy.height,
        "by_source": dict(found.copy["source"].value_counts(sort=True).rows()),
        "missing": len(found.missing),
        "waiting": found.waiting,
        "given_up": found.given_up,
        "tokens_at_most": tokens,
        "money_at_most": round(money, 4),
        "spent_today": {"tokens": spent.tokens, "money": round(spent.money, 4)},
        "budget": {"tokens": tuning.copywriting.tokens_per_day, "money": tuning.copywriting.money_per_day},
        "prompt_version": desk.prompt_version,
        "language_model": writes,
    }
    if as_json:
        print_json(told)
        return
    click.echo("\n".join(_lines(told, tuning)))


def _lines(told: dict[str, Any], tuning: Tuning) -> list[str]:
    knobs = tuning.copywriting
    priced = knobs.input_price or knobs.output_price
    cost = f"{told['tokens_at_most']:,} tokens at most" + (f", {told['money_at_most']:,.2f} of money" if priced else "")
    share = told["tokens_at_most"] / knobs.tokens_per_day if knobs.tokens_per_day else 0.0
    lines = [
        f"{told['day']}: {told['texts']:,} offers need words; "
        + ", ".join(f"{count:,} have them from a {source}" for source, count in told["by_source"].items()),
        f"missing    {told['missing']:>8,} texts of a model   {cost}",
        f"waiting    {told['waiting']:>8,} for the Batch API's answer",
        f"given up   {told['given_up']:>8,} refused {knobs.attempts} times",
        f"budget     {knobs.tokens_per_day:>8,} tokens a day, {told['spent_today']['tokens']:,} spent today"
        + (f"; the missing ones take {max(1, round(share + 0.4999)):,} days of it at most" if share else ""),
    ]
    if not priced:
        lines.append("Money is not counted: set copywriting.input_price and output_price in home.toml.")
    if not told["language_model"]:
        lines.append("No language model is set (RECSYS_LLM_URL): templates stand in, and nothing is spent.")
    return lines


@copy_group.command()
@click.argument("path", type=click.Path(path_type=Path))
@JSON
def export(path: Path, as_json: bool) -> None:
    """Write accepted texts with what they were asked for to PATH, as chats for fine-tuning (JSON Lines)."""
    desk, _, _, _ = _opened()
    accepted = desk.written().filter(pl.col("outcome") == ACCEPTED).unique("text_id", keep="last", maintain_order=True)
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_chats(desk, accepted))
    except OSError as error:
        raise SourceError(
            f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there."
        ) from None
    if as_json:
        print_json({"file": path, "texts": accepted.height})
    else:
        click.echo(f"{accepted.height:,} accepted texts in {path}")


def _chats(desk: CopyDesk, accepted: pl.DataFrame) -> Iterator[str]:
    """One line per accepted text: what a model is asked for it today, and the text as its answer."""
    for row, asked in zip(accepted.iter_rows(named=True), desk.asked(accepted), strict=True):
        answer = json.dumps({part: row[part] for part in PARTS}, ensure_ascii=False)
        chat = (("system", asked.system), ("user", asked.user), ("assistant", answer))
        line = {"messages": [{"role": role, "content": content} for role, content in chat]}
        yield json.dumps(line, ensure_ascii=False) + "\n"


@copy_group.command()
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@JSON
def refused(last: int, as_json: bool) -> None:
    """Show texts of the model that were not accepted, and why."""
    desk, _, _, _ = _opened()
    rows = desk.written().filter(pl.col("outcome") != ACCEPTED).sort("written_at", descending=True).head(last)
    told = rows.select("written_at", "product_id", "language", "intent", "outcome", "says", *PARTS).to_dicts()
    if as_json:
        print_json(told)
        return
    for row in told:
        click.echo(f"{row['written_at']:%Y-%m-%d %H:%M}  {row['product_id']}  {row['outcome']}: {row['says']}")
        words = [row[part] for part in PARTS if row[part]]
        if words:
            click.echo("    " + " / ".join(words))
    if not told:
        click.echo("nothing was refused")


COMMANDS = (copy_group,)
