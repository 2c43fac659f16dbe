"""What a failed run tells people outside: which job, which day, what failed and why. Nothing about a person."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_REASON = 500
MOST_FAILURES = 20
_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")


@dataclass(frozen=True)
class Failure:
    """One step or check that failed."""

    step: str
    reason: str


@dataclass(frozen=True)
class Alert:
    """One run that failed, or a test of the way. ``day``: one day, or ``first to last``; ``url``: the run's page.

    ``live`` says what is live now: whether the run failed before the publication or after it, only the pointer knows.
    """

    shop: str
    job: str
    day: str
    run_id: str
    failures: tuple[Failure, ...]
    live: str
    url: str

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.shop}: {self.job}" + (f" for {self.day}" if self.day else "") + " failed"

    def text(self) -> str:
        """Some lines for people."""
        lines = [self.title, *(f"  {failure.step}: {failure.reason}" for failure in self.failures)]
        lines.append(f"{self.live[:1].upper()}{self.live[1:]}.")
        lines.append(self.url or f"Run {self.run_id} in the Dagster UI.")
        return "\n".join(lines)

    def payload(self) -> Mapping[str, Any]:
        """The JSON of the webhook; chat systems that take ``{"text": …}`` show it as it is."""
        return {
            "event": "run_failed",
            "text": self.text(),
            "shop": self.shop,
            "job": self.job,
            "day": self.day,
            "run_id": self.run_id,
            "failures": [{"step": failure.step, "reason": failure.reason} for failure in self.failures],
            "live": self.live,
            "url": self.url,
        }


def reason(text: str, ours: bool) -> str:
    """What may be said outside of why a step failed.

    Our own sentences name files, days and settings. What a library raises may quote anything, a row of a file too:
    it stays where it happened. Passwords of URLs go in any case.

    >>> reason("postgresql://app:hush@db:5432/x does not answer", ours=True)
    'postgresql://db:5432/x does not answer'
    >>> reason("could not parse 'ann@example.com'", ours=False)
    "an error that is not one of ours; the run's page has it"
    """
    if not ours:
        return "an error that is not one of ours; the run's page has it"
    clean = _CREDENTIALS.sub("", text.strip())
    return clean if len(clean) <= LONGEST_REASON else clean[:LONGEST_REASON] + " …"


def some(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """The first ones, and how many more there are."""
    if len(failures) <= MOST_FAILURES:
        return tuple(failures)
    more = Failure("and", f"{len(failures) - MOST_FAILURES} more")
    return (*failures[:MOST_FAILURES], more)
