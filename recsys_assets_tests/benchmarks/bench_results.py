"""The README's results on shop data: `recsys benchmark shop` on each data set that is named, as Markdown.

Run: ``python -m recsys_assets_tests.benchmarks.bench_results --complete-journey package --online-retail FILE
--retailrocket FILE``. Each runs in a process of its own, one after the other; a data set that is not named is left
out. The cut-offs leave the last four weeks of Complete Journey and the last thirty days of Online Retail as test.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

CUTOFFS = {"complete_journey": "2017-12-03", "online_retail": "2011-11-09"}
TITLES = {
    "complete_journey": "Complete Journey (groceries, after 2017-12-03)",
    "online_retail": "Online Retail (gifts, after 2011-11-09)",
    "retailrocket": "RetailRocket subset (leave one out)",
}
MODELS = (
    "popularity",
    "personal",
    "als",
    "item_cf",
    "basket",
    "transitions",
    "blend",
    "weights",
    "learned",
    "published",
)
TARGETS = ("all", "new", "repeat")


def measured(name: str, path: str) -> dict[str, Any]:
    """What the command says of one data set."""
    split = ["--cutoff", CUTOFFS[name]] if name in CUTOFFS else ["--held-out"]
    command = [sys.executable, "-m", "recsys_assets.cli", "benchmark", "shop", path, *split, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def markdown(title: str, said: dict[str, Any]) -> list[str]:
    """A table of NDCG@10 by model and target, then gains, early people, new products and what it cost."""
    targets = [target for target in TARGETS if target in said["figures"]]
    lines = [f"**{title}**, {said['split']['people']:,} people, {said['split']['products']:,} products", ""]
    lines += [f"| NDCG@10 | {' | '.join(targets)} | recall@10 |", f"|---|{'---|' * len(targets)}---|"]
    for model in MODELS:
        if model in said["figures"]["all"]:
            values = [f"{said['figures'][target][model]['ndcg@10']:.4f}" for target in targets]
            lines.append(f"| {model} | {' | '.join(values)} | {said['figures']['all'][model]['recall@10']:.4f} |")
    lines += ["", "| gain of what is published over | target | NDCG@10 | 95 % interval |", "|---|---|---|---|"]
    for gain in said["gains"]:
        over = gain["baseline"] + (f" ({gain['best']})" if "best" in gain else "")
        lines.append(f"| {over} | {gain['target']} | {gain['mean']:+.4f} | {gain['low']:+.4f} to {gain['high']:+.4f} |")
    after = [row for row in said["slices"] if row["slice"] == "after"]
    if after:
        told = (
            f"{row['group']}: {row['gain']:+.4f} [{row['gain_low']:+.4f}, {row['gain_high']:+.4f}]" for row in after
        )
        lines += ["", f"Gain over popularity after so many interactions: {'; '.join(told)}."]
    if "cold" in said:
        cold = said["cold"]
        mean, low, high = cold["gain"]["ndcg@10"]
        lines += [
            "",
            f"Products without events ({cold['products']:,}, {cold['people']:,} people): content NDCG@10 "
            f"{cold['figures']['content']['ndcg@10']:.4f}, {cold['baseline']} "
            f"{cold['figures'][cold['baseline']]['ndcg@10']:.4f}; {mean:+.4f} [{low:+.4f}, {high:+.4f}].",
        ]
    for row in said.get("event_weights", ()):
        lines += (
            []
            if row is not said["event_weights"][0]
            else ["", "| views and carts beside purchases | with | without | gain |", "|---|---|---|---|"]
        )
        lines.append(
            f"| {row['model']} | {row['value']:.4f} | {row['purchases_alone']:.4f} | {row['mean']:+.4f} "
            f"[{row['low']:+.4f}, {row['high']:+.4f}] |"
        )
    cost = f"Fitted in {said['fit_seconds']:.0f} s, scored in {said['score_seconds']:.0f} s, {said['peak_mb']:,.0f} MB."
    return [*lines, "", f"Published: {said['choice'].get('kind')}. {cost}", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TITLES:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", dest=name)
    given = vars(parser.parse_args())
    if not any(given.values()):
        parser.error("name the file of at least one data set")
    for name, title in TITLES.items():
        if given[name]:
            print("\n".join(markdown(title, measured(name, given[name]))), flush=True)


if __name__ == "__main__":
    main()
