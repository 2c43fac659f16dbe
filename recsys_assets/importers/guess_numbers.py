"""Amounts as a file writes them → the table `[numbers]` of a mapping file that may fit, with its doubts."""

import json
import re
import unicodedata
from collections.abc import Iterable

_AMOUNT = re.compile(r"([^\d\s.,+\-()]{1,4})?\s*[+-]?([\d.,' \u00a0\u202f\u2019]*\d)\s*([^\d\s.,+\-()]{1,4})?")
_GROUPED = {mark: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in ",."}
_MONEY = (
    "AUD BGN BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR ISK JPY KRW MXN MYR NOK NZD PHP PLN RON RUB SEK SGD "
    "THB TRY TWD UAH USD ZAR kr zł Kč Ft lei руб лв US$ CA$ A$ R$ NT$ HK$"
)
_CURRENCIES = frozenset(_MONEY.split())
_SYMBOLS_AT_MOST = 3


def numbers_of(texts: Iterable[str]) -> list[str]:
    """Lines of the table, none where amounts are written as the contract has them.

    >>> numbers_of(["1.002,50", "3,20"])
    ['', '[numbers]', 'decimal = ","', 'grouping = "."']
    >>> numbers_of(["2.49", "3"])
    []
    """
    found = [match for match in map(_AMOUNT.fullmatch, texts) if match]
    symbols = sorted({symbol for match in found for symbol in match.group(1, 3) if symbol and _is_currency(symbol)})
    marks = _marks({match[2] for match in found})
    if len(symbols) <= _SYMBOLS_AT_MOST and symbols:
        marks.append(f"symbols = {json.dumps(symbols, ensure_ascii=False)}")
    return ["", "[numbers]", *marks] if marks else []


def _is_currency(text: str) -> bool:
    """Whether a mark is one of money; another may be anything, of people too, and is not repeated."""
    return text in _CURRENCIES or all(unicodedata.category(letter) == "Sc" for letter in text)


def _marks(numbers: set[str]) -> list[str]:
    commas, points = ({number for number in numbers if mark in number} for mark in ",.")
    both = commas & points
    last = {"," if number.rfind(",") > number.rfind(".") else "." for number in both}
    grouped = {mark: all(_GROUPED[mark].fullmatch(number) for number in those) for mark, those in
               ((",", commas), (".", points))}  # fmt: skip
    many = any(number.count(".") > 1 for number in points)
    german = last == {","} or (not both and ((commas and not grouped[","]) or (not commas and many)))
    if len(last) > 1:
        return ["# not known: some amounts have a decimal comma, others a decimal point"]
    if german:
        return ['decimal = ","', 'grouping = "."']
    if both:
        return ['grouping = ","']
    if commas:
        least = min(commas)
        return [f'grouping = ","  # {least} is read as {least.replace(",", "")}; with decimal = "," it is a fraction']
    lines = ['grouping = " "'] if any(re.search(r"\d[ \u00a0\u202f]\d", number) for number in numbers) else []
    if points and grouped["."]:
        lines.append(f'# {min(points)} is read as a fraction; with grouping = "." it is a whole number')
    return lines
