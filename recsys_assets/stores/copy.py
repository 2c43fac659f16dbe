"""Where texts are kept, asked for and paid: the lake's WRITTEN_COPY and the language model of the settings."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from recsys_assets.errors import NotFoundError, RefusedError, SettingsError, StoreError
from recsys_assets.logic.copy_facts import Facts, Text, TextKey
from recsys_assets.logic.copy_prompts import Outcome, Prompt, Templates, Tokens, most_tokens, prompt
from recsys_assets.logic.copy_texts import ACCEPTED, PENDING, DayOfCopy, Missing, day_of_copy, needed
from recsys_assets.logic.copy_validation import Rules, refusals
from recsys_assets.settings import CHECKOUT, Settings
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.llm import Answer, Budget, Spent, Writer
from recsys_assets.stores.llm_batch import Batches
from recsys_assets.tables import CATALOG, PLANS, WRITTEN_COPY
from recsys_assets.tuning import Tuning

PROMPTS = CHECKOUT / "templates" / "prompt"
AT_ONCE = 200  # texts after which what was written is kept, whatever happens to the run
_IN_VAIN = ("failed", "over_budget", "busy")


@dataclass(frozen=True)
class Asked:
    """The words of a day after a model was asked, the calls (rows of WRITTEN_COPY), and what kept it from more."""

    day: DayOfCopy
    calls: pl.DataFrame
    problem: str | None


class CopyDesk:
    """The texts of one shop. Nothing here knows a person."""

    def __init__(self, lake: Lake, tuning: Tuning, settings: Settings, prompts: Path = PROMPTS) -> None:
        self._lake, self._tuning, self._settings = lake, tuning, settings
        self._templates = Templates.of(prompts)
        self._rules = Rules.of(tuning.copywriting)

    @property
    def writes(self) -> bool:
        """Whether a language model is set."""
        return bool(self._settings.llm_url)

    @property
    def prompt_version(self) -> str:
        """Of the prompt's templates as they stand."""
        return self._templates.version

    def of(self, day: date) -> DayOfCopy:
        """The words of a day as they stand: what is written, else templates, and what is missing.

        Raises:
            NotFoundError: the day has no plans or no catalogue.
        """
        catalog, knobs = self._lake.read(CATALOG, day), self._tuning.copywriting
        need = needed(self._lake.read(PLANS, day))
        return day_of_copy(need, catalog, self.written(), self._refused, knobs, self.prompt_version)

    def written(self) -> pl.DataFrame:
        """Table WRITTEN_COPY of all days, in the order of writing."""
        days = self._lake.days(WRITTEN_COPY)
        return latest(self._lake.scan(WRITTEN_COPY, days).collect())

    def spent(self, today: date) -> Spent:
        """What a UTC day has cost so far."""
        rows = latest(self._lake.scan(WRITTEN_COPY, [today]).collect())
        return Spent(int((rows["tokens_in"] + rows["tokens_out"]).sum()), float(rows["money"].sum()))

    def prompts(self, missing: Iterable[Missing]) -> list[Prompt]:
        """What a model would be asked, in the same order."""
        return [prompt(one.facts, one.key, self._tuning.copywriting, self._templates) for one in missing]

    def asked(self, written: pl.DataFrame) -> list[Prompt]:
        """What a model is asked today for rows of WRITTEN_COPY, in their order."""
        about = map(_asked, written.iter_rows(named=True))
        return [prompt(facts, key, self._tuning.copywriting, self._templates) for facts, key in about]

    def estimate(self, missing: Sequence[Missing]) -> tuple[int, float]:
        """Tokens and money that the missing texts cost at most, each asked for once."""
        most = [most_tokens(one) for one in self.prompts(missing)]
        budget = Budget(self._tuning.copywriting, Spent())
        return sum(one.into + one.out for one in most), sum(budget.money(one) for one in most)

    def ask(self, day: date, run: str, progress: Callable[[str], object] = lambda _: None) -> Asked:
        """Collects what was submitted before, and asks for what a day lacks; nothing where no model is set.

        An endpoint that does not answer, or refuses, is no reason to have no words: the problem is told, and templates
        stand in.
        """
        found, calls, problem = self.of(day), [WRITTEN_COPY.empty()], None
        try:
            if self.writes:
                calls.append(self.collect(run, progress))
                found = self.of(day)
                progress(f"{len(found.missing):,} texts to write")
                if found.missing:
                    calls.append(self.write(found.missing, run, progress))
        except (StoreError, RefusedError, SettingsError, NotFoundError) as error:
            problem = str(error)
            progress(f"no more texts of the language model tonight: {problem}")
        return Asked(self.of(day) if self.writes else found, pl.concat(calls), problem)

    def write(
        self, missing: Sequence[Missing], run: str, progress: Callable[[str], object] = lambda _: None
    ) -> pl.DataFrame:
        """Asks for texts, keeps what comes (rows of WRITTEN_COPY), and says what came; within the day's budget.

        Raises:
            StoreError: the endpoint's Batch API does not answer. (A direct call that fails is a row.)
        """
        if self._tuning.copywriting.mode == "batch":
            return self._batch(missing, run, progress)
        writer = Writer(
            self._settings.llm_url, self._settings.llm_model, self._settings.llm_key, seed=self._tuning.seed
        )
        made = list[dict[str, Any]]()
        for number, start in enumerate(range(0, len(missing), AT_ONCE)):
            some = missing[start : start + AT_ONCE]
            began, answers = datetime.now(UTC), list[Answer]()
            try:
                spent = self.spent(began.date())
                writer.write(self.prompts(some), self._tuning.copywriting, spent, answers.append)
            finally:  # what was paid is kept, whatever ends the run
                rows = self._rows({one.id: (one.facts, one.key) for one in some}, answers, began.date())
                self._keep(rows, began.date(), f"{run}-{number:05}")
            made += rows
            accepted = sum(1 for row in rows if row["outcome"] == ACCEPTED)
            progress(f"{start + len(some):,} of {len(missing):,} texts: {accepted} of the last {len(some)} accepted")
            if all(answer.outcome in _IN_VAIN for answer in answers):
                break  # nobody is there, or nothing is left to spend
        return _frame(made)

    def _batch(self, missing: Sequence[Missing], run: str, progress: Callable[[str], object]) -> pl.DataFrame:
        """Submits what is missing; the answers come with a later night."""
        today = datetime.now(UTC).date()
        sent = self._batches().submit(
            self.prompts(missing), self._tuning.copywriting, self.spent(today), f"{run} {today}"
        )
        about = {one.id: (one.facts, one.key) for one in missing}
        rows = self._rows(about, sent.answers, today, sent.batch_id)
        self._keep(rows, today, f"{run}-submitted")
        waiting = sum(answer.outcome == PENDING for answer in sent.answers)
        progress(f"{waiting:,} of {len(missing):,} texts submitted as batch {sent.batch_id}")
        return _frame(rows)

    def collect(self, run: str, progress: Callable[[str], object] = lambda _: None) -> pl.DataFrame:
        """What has come of batches that were submitted before; rows of WRITTEN_COPY.

        Raises:
            StoreError: the endpoint does not answer.
        """
        waiting = latest(self.written()).filter(pl.col("outcome") == PENDING)
        made = list[dict[str, Any]]()
        for (batch, day), part in waiting.partition_by("batch_id", "event_date", as_dict=True).items():
            pending = [
                Answer(row["text_id"], None, _PENDING, row["says"], row["tokens_in"], row["tokens_out"], 0.0, 1)
                for row in part.iter_rows(named=True)
            ]
            found = self._batches().collect(str(batch), pending)
            progress(f"batch {batch}: {found.state}")
            if found.state == "running":
                continue
            about = {row["text_id"]: _asked(row) for row in part.iter_rows(named=True)}
            rows = self._rows(about, [one for one in found.answers if one.id in about], day, str(batch))
            self._keep(rows, day, f"{run}-{batch}")  # beside what was held for it, so that its day counts it once
            made += rows
        return _frame(made)

    def _batches(self) -> Batches:
        return Batches(self._settings.llm_url, self._settings.llm_model, self._settings.llm_key)

    def _rows(
        self,
        about: Mapping[str, tuple[Facts, TextKey]],
        answers: Sequence[Answer],
        day: date,
        batch_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """One row of WRITTEN_COPY per answer: what is written is accepted, or refused by the validator."""
        budget = Budget(self._tuning.copywriting, Spent())
        rows = []
        for answer in answers:
            facts, key = about[answer.id]
            why = self._refused(answer.text, facts, key) if answer.text else []
            outcome = answer.outcome if answer.text is None else "refused" if why else ACCEPTED
            rows.append(
                {
                    "text_id": answer.id, "product_id": facts.product_id, "facts_hash": facts.hash(),
                    "intent": key.intent, "reason_kind": key.reason_kind, "tone": key.tone, "language": key.language,
                    "prompt_version": key.prompt_version, **(answer.text.parts() if answer.text else {}),
                    "outcome": outcome, "says": "; ".join(why) or answer.says, "model": self._settings.llm_model,
                    "facts": json.dumps(asdict(facts), ensure_ascii=False), "batch_id": batch_id,
                    "tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out,
                    "money": budget.money(Tokens(answer.tokens_in, answer.tokens_out)),
                    "latency_ms": answer.latency_ms, "attempts": answer.attempts, "written_at": datetime.now(UTC),
                    "event_date": day,
                }
            )  # fmt: skip
        return rows

    def _refused(self, text: Text, facts: Facts, key: TextKey) -> list[str]:
        return refusals(text, facts, key, self._rules)

    def _keep(self, rows: Sequence[dict[str, Any]], day: date, part: str) -> None:
        if rows:
            self._lake.write(WRITTEN_COPY, day, _frame(rows), part)


_PENDING: Outcome = "pending"


def latest(written: pl.DataFrame) -> pl.DataFrame:
    """``written`` without what a later row has taken the place of: an answer that was pending, and came."""
    batched = pl.col("batch_id").is_not_null()
    came = written.filter(batched).sort("written_at").unique(["batch_id", "text_id"], keep="last")
    return pl.concat([written.filter(~batched), came]).sort("written_at", "text_id")


def _asked(row: Mapping[str, Any]) -> tuple[Facts, TextKey]:
    """What a row was asked about."""
    told = json.loads(row["facts"])
    key = TextKey(row["intent"], row["reason_kind"], row["tone"], row["language"], row["prompt_version"])
    return Facts(**(told | {"tags": tuple(told["tags"])})), key


def _frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return WRITTEN_COPY.conform(pl.DataFrame(rows, schema=WRITTEN_COPY.columns))
