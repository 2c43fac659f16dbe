"""Copy validation: what it refuses of the corpus, and microseconds per text beside a bare ``re`` scan of the same.

The scan looks for digits, a few claims, tags and addresses: what a shop would write in an afternoon. Goal: under 100 µs
a text, with the names of 20,000 products to look for.

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
PRODUCTS = 20_000
SPLITS = ("dev", "held_out")
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
    # Made names, two capitalised syllables each, beside the corpus's own: a look-up must not depend on their number.
    made = [
        f"{chr(65 + i % 26)}{'aeiou'[i % 5]}rb{'ox' * (i % 7 + 1)} {chr(65 + i // 26 % 26)}uv{i}x"
        for i in range(PRODUCTS)
    ]
    brands = {case.facts.brand for case in cases if case.facts.brand}
    started = time.perf_counter()
    rules = Rules.of(Copywriting(), brands, {case.facts.name for case in cases} | set(made))
    rules_seconds = time.perf_counter() - started

    def ours(case: Case) -> bool:
        return bool(refusals(case.text, case.facts, case.language, rules))

    refused, bare, of = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for case in cases:
        key = (case.kind, case.split)
        of[key] += 1
        refused[key] += ours(case)
        bare[key] += scanned(case)
    kinds = [*sorted({case.kind for case in HOSTILE}), "fine"]
    print(f"{'refused of':24}{'dev':>10}{'held out':>10}{'bare re':>10}")
    for kind in kinds:
        shown = (f"{refused[kind, split]}/{of[kind, split]}" for split in SPLITS)
        both = f"{sum(bare[kind, split] for split in SPLITS)}/{sum(of[kind, split] for split in SPLITS)}"
        print(f"{kind:24}{''.join(f'{one:>10}' for one in shown)}{both:>10}")
    for split in SPLITS:
        hostile = [case for case in HOSTILE if case.split == split]
        fine = [case for case in FINE if case.split == split]
        recall, false = sum(map(ours, hostile)) / len(hostile), sum(map(ours, fine)) / len(fine)
        scan_recall, scan_false = sum(map(scanned, hostile)) / len(hostile), sum(map(scanned, fine)) / len(fine)
        print(f"{split}: recall {recall:.3f}, false refusals {false:.3f} · bare re {scan_recall:.3f}, {scan_false:.3f}")
    # In turn, and the fastest of each: what the code costs, without its neighbours on the machine.
    rounds = [(us_per_text(ours, cases), us_per_text(scanned, cases)) for _ in range(ROUNDS)]
    our_us, bare_us = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"ours {our_us:.0f} µs a text · bare re {bare_us:.0f} µs · rules of {PRODUCTS} products {rules_seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
