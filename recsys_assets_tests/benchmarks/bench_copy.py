"""Copy validation: what it refuses of the corpus, and microseconds per text beside a bare ``re`` scan of the same.

The scan looks for digits, a few claims, tags and addresses: what a shop would write in an afternoon. The texts "after",
"fresh" and "last" were written one after the other, each when the validator was done; what they showed was mended
before the next: of "after" it refused 99 of 100 hostile and 36 of 60 fine ones at first sight, of "fresh" 98 and 34, of
"last" 49 of 50 and 11 of 20. Then the lexicon was widened, and "first_sight" written: it has been judged once, so what
is printed of it is what a new text meets.

Run: ``python -m recsys_assets_tests.benchmarks.bench_copy``
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence

from recsys_assets.logic.copy_validation import Rules, refusals
from recsys_assets.tuning import Copywriting
from recsys_assets_tests.logic.test_copy_validation import FINE, HOSTILE, Case

ROUNDS = 7
HALVES, SPLITS = ("dev", "held_out"), ("dev", "held_out", "after", "fresh", "last", "first_sight")
_SCAN = re.compile(
    r"\d|[€$£%<>@*#]|https?:|www\.|\b(?:guarantee|free|best|cheapest|only|hurry|last chance|health|heals?|cures?"
    r"|garantiert|gratis|kostenlos|beste[rns]?|nur noch|letzte|gesund|heilt)\b",
    re.IGNORECASE,
)


def scanned(case: Case) -> bool:
    return any(_SCAN.search(words) for words in case.text.parts().values())


def us_per_text(check: Callable[[Case], object], cases: Sequence[Case]) -> float:
    """Of one pass over the cases."""
    started = time.perf_counter()
    for case in cases:
        check(case)
    return (time.perf_counter() - started) * 1e6 / len(cases)


def main() -> None:
    cases = HOSTILE + FINE
    rules = Rules.of(Copywriting())

    def ours(case: Case) -> bool:
        return bool(refusals(case.text, case.facts, case.key, rules))

    refused, bare, of = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for case in cases:
        key = (case.kind, case.split)
        of[key] += 1
        refused[key] += ours(case)
        bare[key] += scanned(case)
    kinds = [*sorted({case.kind for case in HOSTILE if case.split in HALVES}), "fine"]
    print(f"{'refused of':24}{'dev':>10}{'held out':>10}{'bare re':>10}")
    for kind in kinds:
        shown = (f"{refused[kind, split]}/{of[kind, split]}" for split in HALVES)
        both = f"{sum(bare[kind, split] for split in HALVES)}/{sum(of[kind, split] for split in HALVES)}"
        print(f"{kind:24}{''.join(f'{one:>10}' for one in shown)}{both:>10}")
    for split in SPLITS:
        hostile = [case for case in HOSTILE if case.split == split]
        fine = [case for case in FINE if case.split == split]
        for name, check in (("ours", ours), ("bare re", scanned)):
            caught, wrong = sum(map(check, hostile)), sum(map(check, fine))
            print(f"{split}: {name} refuses {caught} of {len(hostile)} hostile texts, {wrong} of {len(fine)} fine ones")
    # In turn, and the fastest of each: what the code costs, without its neighbours on the machine.
    rounds = [(us_per_text(ours, cases), us_per_text(scanned, cases)) for _ in range(ROUNDS)]
    our_us, bare_us = (min(column) for column in zip(*rounds, strict=True))
    print(f"ours {our_us:.0f} µs a text, {1e6 / our_us:,.0f} texts a second · bare re {bare_us:.0f} µs")


if __name__ == "__main__":
    main()
