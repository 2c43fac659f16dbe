"""What a person says about an offer → wishes, and what they leave of a plan and of a slice of the catalogue.

No language model: phrases in English and German, found among the words of what was said. Only that is read as a wish;
the words of products are searched, never obeyed. A wish that would leave nothing is dropped and reported, so that an
answer is empty only where the slice was.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import dropwhile
from typing import Any, Literal, get_args

import polars as pl

from recsys_assets.logic.copy_facts import LANGUAGES, Language
from recsys_assets.logic.copy_words import Found, Lexicon, normal, visible
from recsys_assets.logic.plans import TOP, moved

Kind = Literal["cheaper", "dearer", "other_brand", "for_child", "not_this", "other_category", "only_category"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST = 500  # characters of a text that are read
# "Cheaper" ends a tenth below the cheapest product shown, and "dearer" begins a tenth above the dearest: the difference
# has to be seen, and a larger step would pass over the neighbours. Where nothing is left of it, any difference will do.
STEP = 0.1
SPAN = 1.5  # ceiling over floor at least, after "dearer": a step up and no leap, however low the floor had been

_Row = dict[str, Any]
_INNOCENT = "innocent"  # what would pass for a wish
_PHRASES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "cheaper": """
            cheaper, cheapest, less expensive, less pricey, too expensive, too pricey, too dear, too much money, not
            expensive, not so expensive, not as expensive, not that expensive, not this expensive, not too expensive,
            not quite so expensive, costs less, cost less, less money, lower price, lower priced, lower prices, better
            price, better prices, better value, better deal, smaller budget, low budget, more affordable, affordable,
            inexpensive, can't afford, cannot afford""",
        "dearer": """
            more expensive, pricier, dearer, better, nicer, fancier, premium, luxury, luxurious, higher quality, higher
            priced, higher price, high end, higher end, upmarket, too cheap, not so cheap, not that cheap, not cheap,
            less cheap""",
        "other_brand": """
            another brand, another make, another manufacturer, another label, other brand, other brands, different
            brand, different brands, different make, different manufacturer, not this brand, not that brand, not the
            same brand, change the brand, new brand""",
        "for_child": """
            child, children, children's, kid, kids, toddler, toddlers, infant, infants, baby, babies, little one, little
            ones, for a boy, for a girl, for boys, for girls, my little boy, my little girl, for my son, for my
            daughter, for my nephew, for my niece, for my grandson, for my granddaughter""",
        "not_this": """
            not this, not this one, not that, not that one, not these, not those, not it, don't like it, don't like
            this, don't like that, don't like these, don't like them, don't want it, don't want this, don't want that,
            don't want these, dislike, do not like it, do not like this, do not like that, do not want it, do not want
            this, do not want that, hate it, hate this, hate that, without this one, anything but this, anything but
            that, another one, a different one, not for me, not my taste""",
        "other_category": """
            something else, anything else, something different, something completely different, another category, other
            category, other categories, different category, another kind, different kind, another type, different type,
            not this category, not that category, not this kind, other things""",
        _INNOCENT: "better not, better suited, better for, than anything else, not that bad, not only, not just",
    },
    "de": {
        "cheaper": """
            billiger*, billigste*, guenstiger*, gunstiger*, guenstigste*, preiswerter*, preisguenstiger*, zu teuer,
            nicht teuer, das nicht teuer, nicht so teuer, nicht so teure*, nicht ganz so teuer, nicht zu teuer, weniger
            teuer, weniger geld, kostet weniger, weniger kostet, weniger kosten, niedrigerer preis, niedrigeren preis,
            besserer preis, besseren preis, kleineres budget, kleines budget""",
        "dearer": """
            teurer*, teuerer*, hochwertiger*, besser, bessere, besserer, besseres, besseren, edler*, luxurioes*,
            premium, zu billig, zu guenstig, nicht so billig, nicht billig, hoeherwertig*, hoehere qualitaet""",
        "other_brand": """
            andere marke, andere marken, anderen marke, eine andere marke, einer anderen marke, anderer hersteller,
            anderen hersteller, ein anderer hersteller, einen anderen hersteller, nicht diese marke, nicht die marke,
            nicht dieselbe marke, marke wechseln, neue marke""",
        "for_child": """
            fuer … kind, fuers kind, fuer ein maedchen, fuer einen jungen, fuer maedchen, kinder, kindern, kindgerecht*,
            kleinkind*, baby, babys, kids, fuer meinen sohn, fuer meine tochter, fuer meinen enkel, fuer meine
            enkelin, fuer meinen neffen, fuer meine nichte""",
        "not_this": """
            nicht dieses, nicht dieser, nicht diese, nicht diesen, nicht das, nicht der, nicht die, nicht den, das
            nicht, dieses nicht, dieser nicht, diese nicht, diesen nicht, die nicht, den nicht, der nicht, gefaellt mir
            nicht, gefallen mir nicht, mag ich nicht, will ich nicht, moechte ich nicht, nicht mein geschmack, ein
            anderes, einen anderen, eine andere, nichts fuer mich""",
        "other_category": """
            etwas anderes, was anderes, etwas ganz anderes, was ganz anderes, andere kategorie, anderen kategorie, eine
            andere kategorie, einer anderen kategorie, andere art, eine andere art, andere sorte, eine andere sorte,
            nicht diese kategorie, andere sachen""",
        _INNOCENT: "besser nicht, besser geeignet, nicht nur",
    },
}
# Before a phrase, with at most so many words in between, they take it back. "No" and "nein" mostly begin an answer.
_NOT = {"not", "don't", "isn't", "doesn't", "nothing", "never", "nicht", "nichts", "kein", "keine", "keinen", "nie"}
_NOT_WITHIN, _BUT = 2, {"but", "rather", "instead", "aber", "sondern", "lieber", "and", "und"}  # what ends the denial
_ONLY, _NAME = {"only", "nur", "ausschliesslich"}, 6  # what names a category, in so many words
_FILLERS = set(
    """show me us the a an some from in of please and but or i want any with that it is are
    die der das den dem ein eine einen aus von vom bitte zeig zeige mir uns und aber oder ich will mit im in
    """.split()  # noqa: SIM905  a list of so many literals is no easier to read
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_ENDINGS, _SHORTEST = ("s", "es", "e", "n", "en", "er", "ern"), 3  # of words that are alike; letters of one
_CLAUSE = re.compile(r"[,.;:!?()\n\r\u2026\u2013\u2014]+")
# Words of what is for a child; a star ends one that goes on. Not "kind", which in English is a sort or a virtue.
CHILD_WORDS = (
    "child", "children", "childrens", "kid", "kids", "kiddie", "toddler*", "infant*", "baby*", "babies", "nursery",
    "junior*", "toy", "toys", "playset*", "boys", "girls", "kinder*", "kleinkind*", "säugling*", "spielzeug*",
    "schulkind*", "mädchen*", "jungs", "babys", "krabbel*", "kuscheltier*",
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """One thing that was asked for. ``value``: of `only_category` the words that name it, as they are compared."""

    kind: Kind
    value: str | None = None


@dataclass(frozen=True)
class Turn:
    """What a person said, about an offer that showed these products, or about one of them."""

    text: str
    shown: tuple[str, ...] = ()
    about: str | None = None

    def meant(self) -> tuple[str, ...]:
        """The products that are spoken of."""
        return (self.about,) if self.about is not None else self.shown


@dataclass(frozen=True)
class Answer:
    """What became of one turn's wishes; of a text that nobody understands there are none."""

    met: tuple[Wish, ...] = ()
    unmet: tuple[Wish, ...] = ()

    @property
    def understood(self) -> bool:
        """Whether a wish was found in the text."""
        return bool(self.met or self.unmet)


@dataclass(frozen=True)
class Refined:
    """The plan (one row) and the slice's rows that are left, in its order, with an answer per turn."""

    plan: pl.DataFrame
    products: pl.DataFrame
    answers: tuple[Answer, ...]

    @property
    def unmet(self) -> tuple[Wish, ...]:
        """All wishes that nothing was left for, in the order of the turns."""
        return tuple(wish for answer in self.answers for wish in answer.unmet)


def understood(text: str, language: Language = "en") -> tuple[Wish, ...]:
    """The wishes in a text, in its order, each once; none where it is not understood.

    Phrases of ``language`` are looked for first, and those of the other one where there are none: "kind" is a child in
    one of them and a sort in the other. Of two that overlap the longer counts. Case, punctuation and accents do not;
    umlauts may be spelled out. What comes after `LONGEST` characters is not read.

    >>> understood("Something CHEAPER than that, and another brand!")
    (Wish(kind='cheaper', value=None), Wish(kind='other_brand', value=None))
    >>> understood("nicht ganz so teuer, nur Tee", "de")
    (Wish(kind='cheaper', value=None), Wish(kind='only_category', value='tee'))
    >>> understood("not cheaper"), understood("")
    ((), ())
    """
    clauses = [_WORD.findall(clause) for clause in _CLAUSE.split(normal(visible(text[:LONGEST])))]
    for spoken in (language, *(other for other in LANGUAGES if other != language)):
        wishes = dict.fromkeys(wish for words in clauses for wish in _wishes(words, _lexicon(spoken)))
        if wishes:
            return tuple(wishes)
    return ()


@cache
def _lexicon(language: Language) -> Lexicon:
    return Lexicon.of(
        (kind, " ".join(phrase.split())) for kind, listed in _PHRASES[language].items() for phrase in listed.split(",")
    )


def _wishes(words: Sequence[str], lexicon: Lexicon) -> Iterable[Wish]:
    """Those of one clause."""
    at: dict[int, Found] = {}
    for found in sorted(lexicon.found(words), key=lambda one: (one.start - one.end, one.start)):
        if not any(place in at for place in range(found.start, found.end)):
            at |= dict.fromkeys(range(found.start, found.end), found)
    for place, word in enumerate(words):
        here = at.get(place)
        if _denied(words, place, at):
            continue
        if here is None and word in _ONLY:
            yield from _only(words, place + 1, at)
        elif here is not None and here.start == place:
            yield from (Wish(kind) for kind in KINDS if kind == here.kind)


def _denied(words: Sequence[str], place: int, at: Mapping[int, Found]) -> bool:
    for before in range(place - 1, max(-1, place - 2 - _NOT_WITHIN), -1):
        if before in at or words[before] in _BUT:
            return False
        if words[before] in _NOT:
            return True
    return False


def _only(words: Sequence[str], start: int, at: Mapping[int, Found]) -> Iterable[Wish]:
    """The category named from ``start`` on: up to the next phrase, without what leads to it and away from it."""
    end = next((place for place in range(start, len(words)) if place in at or words[place] in _ONLY), len(words))
    named = list(dropwhile(_FILLERS.__contains__, words[start:end]))[:_NAME]
    named = list(dropwhile(_FILLERS.__contains__, named[::-1]))[::-1]
    return [Wish("only_category", " ".join(named))] if named else []


def refined(plan: pl.DataFrame, products: pl.DataFrame, turns: Sequence[Turn], language: Language = "en") -> Refined:
    """A plan and a slice after some turns, which add up: what one turn took out stays out.

    - `cheaper`: the ceiling falls `STEP` below the cheapest product meant, the whole bracket with it; what costs more
      is out, as is what has no price. Where the slice has nothing so cheap: what is cheaper at all. `dearer` likewise
      above the dearest: the floor rises, and the middle and ceiling where they have to. Either takes back the other of
      an earlier turn where both cannot be had. Where no price is known of what is meant, the plan's middle stands in.
    - `other_brand`: brands meant are out.
    - `not_this`: products meant and their families are out.
    - `for_child`: what is not for children (`CHILD_WORDS`) is out.
    - `other_category`: categories meant are out, of the plan as well. `only_category`: all but those named are, until
      another is named, or something else is asked for that there is nothing of.

    Meant is the product that a turn is about, else all that it showed; such as are not in the slice are not known.

    Args:
        plan: one row, with ``categories``, ``category_probabilities`` and the bracket's prices; other columns stay.
        products: one row per product, as `logic.offers.offers` asks for them; ``tags`` are read where they are there.
        turns: oldest first.
        language: of the person.
    """
    price = products["price_micros"].cast(pl.Int64)
    left = _Left(price.set(price <= 0, None), pl.repeat(True, products.height, eager=True))
    row: _Row = plan.row(0, named=True)
    answers = []
    for turn in turns:
        met: list[Wish] = []
        unmet: list[Wish] = []
        for wish in understood(turn.text, language):
            moved_on = _applied(wish, turn, row, products, left)
            row, left = moved_on or (row, left)
            (met if moved_on else unmet).append(wish)
        answers.append(Answer(tuple(met), tuple(unmet)))
    return Refined(pl.DataFrame([row], schema=plan.schema), products.filter(left.rows()), tuple(answers))


@dataclass(frozen=True)
class _Left:
    """What is left of a slice: its rows' prices; which are kept, and of the only categories asked for; price bounds."""

    price: pl.Series
    kept: pl.Series
    only: pl.Series | None = None
    lowest: int | None = None
    highest: int | None = None

    def rows(self) -> pl.Series:
        """Whether each is left."""
        left = self.kept if self.only is None else self.kept & self.only
        if self.lowest is not None:
            left = left & (self.price >= self.lowest).fill_null(False)
        return left if self.highest is None else left & (self.price <= self.highest).fill_null(False)


def _applied(wish: Wish, turn: Turn, row: _Row, products: pl.DataFrame, left: _Left) -> tuple[_Row, _Left] | None:
    """The plan's row and what is left after a wish; None where nothing would be."""
    meant = products["product_id"].is_in(turn.meant())
    category = _known(products["category"])
    match wish.kind:
        case "cheaper" | "dearer":
            return _priced(wish.kind, left.price.filter(meant).drop_nulls(), row, left)
        case "not_this":
            out = _same(products.select(pl.coalesce(_known(products["parent_id"]), "product_id")).to_series(), meant)
        case "other_brand":
            out = _same(_known(products["brand"]), meant)
        case "other_category":
            out, gone = _same(category, meant), set(category.filter(meant))
            row = _aimed(row, [name for name in row["categories"] or () if name not in gone])
        case "only_category":
            named = _named(category.unique().drop_nulls().sort().to_list(), (wish.value or "").split())
            only = replace(left, only=category.is_in(named).fill_null(False))
            row = _aimed(row, named if len(named) <= TOP else [])  # of more than a plan holds, it prefers none
            return (row, only) if only.rows().any() else None
        case "for_child":
            out = ~_for_child(products)
    if out is None:
        return None
    after = replace(left, kept=left.kept & ~out.fill_null(False))  # of nulls nothing is known: they stay
    if wish.kind == "other_category" and not after.rows().any():
        after = replace(after, only=None)
    return (row, after) if after.rows().any() else None


def _known(values: pl.Series) -> pl.Series:
    """Texts, '' being none."""
    return values.cast(pl.String).replace("", None)


def _same(values: pl.Series, meant: pl.Series) -> pl.Series | None:
    """Which rows have a value that is meant; None where nothing known is meant."""
    known = values.filter(meant).drop_nulls().unique().to_list()
    return values.is_in(known) if known else None


def _aimed(row: _Row, names: Sequence[str]) -> _Row:
    """The plan with these categories: at its own probabilities, where they are all its own; else they are even."""
    own = dict(zip(row["categories"] or (), row["category_probabilities"] or (), strict=False))
    even = [name for name in names if name not in own]
    return row | {
        "categories": list(names),
        "category_probabilities": [1 / len(names) if even else own[name] for name in names],
    }


def _priced(kind: Literal["cheaper", "dearer"], prices: pl.Series, row: _Row, left: _Left) -> tuple[_Row, _Left] | None:
    """The bound with a step and, failing that, without; either of them with an earlier opposite bound, then without."""
    names = ("price_low_micros", "price_middle_micros", "price_high_micros")
    low, middle, high = (row[name] for name in names)
    bracket = None if None in (low, middle, high) else (low, middle, high)
    known = prices.to_list() or ([middle] if bracket else [])
    if not known:
        return None
    if kind == "cheaper":
        own, opposite, nearer, anchor, sign = "highest", "lowest", min, min(known), -1
    else:
        own, opposite, nearer, anchor, sign = "lowest", "highest", max, max(known), 1
    earlier = getattr(left, own)
    for beyond in dict.fromkeys((getattr(left, opposite), None)):
        for bound in (nearer(round(anchor * (1 + sign * STEP)), anchor + sign), anchor + sign):
            reached = bound if earlier is None else nearer(bound, earlier)
            after = replace(left, **{own: reached, opposite: beyond})
            if after.rows().any():
                moved_to = _bracketed(kind, bracket, reached) if bracket else (low, middle, high)
                return row | dict(zip(names, moved_to, strict=True)), after
    return None


def _bracketed(kind: Kind, bracket: tuple[int, int, int], bound: int) -> tuple[int, int, int]:
    """With the bound as its ceiling, or floor, where it is beyond it.

    Cheaper: all three move by one factor. Dearer: the ceiling is `SPAN` floors at least, the middle at least the
    geometric mean of the two.

    >>> _bracketed("cheaper", (10, 20, 40), 20), _bracketed("dearer", (10, 20, 40), 36)
    ((5, 10, 20), (36, 44, 54))
    """
    low, middle, high = bracket
    if kind == "cheaper":
        return (bound < high and moved(bracket, bound / high)) or bracket
    if bound <= low:
        return bracket
    high = max(high, round(bound * SPAN))
    return bound, max(middle, math.isqrt(bound * high)), high


def _named(categories: Sequence[str], words: Sequence[str]) -> list[str]:
    """The categories in whose path all words stand, or failing that all but the last one, and so on."""
    paths = {name: _WORD.findall(normal(name)) for name in categories} if words else {}
    for many in range(len(words), 0, -1):
        found = [
            name for name, path in paths.items()
            if all(any(_alike(word, other) for other in path) for word in words[:many])
        ]  # fmt: skip
        if found:
            return found
    return []


def _alike(one: str, other: str) -> bool:
    """Whether two words are the same but for an ending of the plural or the case.

    >>> _alike("teas", "tea"), _alike("accessory", "accessories"), _alike("lampe", "lampen"), _alike("tea", "team")
    (True, True, True, False)
    """
    short, long = sorted((one, other), key=len)
    if len(short) < _SHORTEST or short == long:
        return short == long
    return long in {short + ending for ending in _ENDINGS} or (short[-1] == "y" and long == f"{short[:-1]}ies")


def _for_child(products: pl.DataFrame) -> pl.Series:
    """Whether a product's words say that it is for a child."""
    words = (word.replace("ä", "(?:ä|ae)").replace("*", r"\p{L}*") for word in CHILD_WORDS)
    pattern = rf"(?i)(?:^|\P{{L}})(?:{'|'.join(words)})(?:\P{{L}}|$)"
    said = [pl.col("name").cast(pl.String), pl.col("category").cast(pl.String)]
    if products.schema.get("tags") == pl.List(pl.String):
        said.append(pl.col("tags").list.join(" ", ignore_nulls=True))
    return products.select(pl.any_horizontal(text.str.contains(pattern).fill_null(False) for text in said)).to_series()
