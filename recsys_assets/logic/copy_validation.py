"""Why a text about a product is refused; a template stands in for it then.

A model that writes well still invents: a maker, a part, a reason to hurry. So a text has only words that the language's
lexicon or the product's own data has (`logic.copy_vocabulary`), and what such words say together is looked at as well:
a part ("with a cup") has to be one of the data's, a denial ("no sugar") has to be denied there, a mood is said of a
time, and nobody is quoted. What can change stands in slots, filled from the catalogue; the rest holds no number, no
price, no address, no markup, nothing that a reader cannot see, and no claim for which a shop answers, whoever made it
(`logic.copy_claims`). Where that is not clear, a text is refused: it costs a template, and the other mistake costs a
shop its word.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Self

from recsys_assets.logic.copy_claims import claim_phrases
from recsys_assets.logic.copy_facts import LANGUAGES, SLOTS, Facts, Text, TextKey
from recsys_assets.logic.copy_vocabulary import PREPOSITIONS, Told, is_number, told, vocabulary
from recsys_assets.logic.copy_words import Found, Lexicon, compared, normal, tokens, visible
from recsys_assets.tuning import Copywriting

_SLOT = re.compile(r"\{(\w*)\}")
_BRACE = re.compile(r"[{}]")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#|\$\{|\}\}|%\}")
_PLAIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžČčĆćẞ \u00a0\u202f.,;:!?'’‘\"“”„‚«»‹›–—\-‐‑…&()/]*")
# By character, category or its first letter; what is none of these is control.
_KINDS: Mapping[str, str] = {
    "\u20e3": "number", "🔟": "number", "💯": "number", "N": "number", "Sc": "price", "L": "language", "S": "markup",
    "P": "markup", "@": "url", "＠": "url", **dict.fromkeys("%‰‱٪﹪％", "percent"),
}  # fmt: skip
_PATTERNS = (
    ("url", re.compile(r"(?<=\w)[.,][A-Za-z]{2,}|://|[(\[]\s*(?:at|dot|punkt|ät)\s*[)\]]", re.IGNORECASE)),
    ("markup", re.compile(r"&\w+;")),
    (
        "instruction",
        re.compile(
            r"^\s*(?:sure|certainly|of course|gerne|natürlich|okay)\s*[!,:.]"
            r"|\b(?:system|assistant|user|human|developer|headline|title|sentence|cta|hinweis|titel|satz|überschrift"
            r"|assistent|nutzer)\s*:",
            re.IGNORECASE,
        ),
    ),
)
_LIST_MARK = re.compile(r"\s*[-–—>+•]\s")
_SPELLED_LETTERS = 3
_SPELLED = re.compile(r"(?<!\w)[^\W\d_](?:[ .\-·_]{1,2}[^\W\d_]){2,}(?!\w)")
_ROMAN = re.compile(r"M{0,3}(?:C[MD]|D?C{0,3})(?:X[CL]|L?X{0,3})(?:I[XV]|V?I{0,3})")
_NO_ROMAN = frozenset({"MIX", "CD", "DI", "MI", "LI", "DC"})
_HYPHEN = re.compile("[-‐‑]")
_HYPHENATED = re.compile(r"[^\W\d_]+(?:[-‐‑][^\W\d_]+)+")
_STARTS = frozenset('.!?:;…"“”„(–—')
# An amount says what it is only between these: "for {price}", "was {list_price}", "is {discount}".
_BEFORE_AMOUNT: Mapping[str, str] = {
    "price": r"(?:^|[.,:;!?–—(“„]|\b(?:for|at|now|is|are|costs|cost|für|fuer|jetzt|gerade|kostet|kosten|ist|sind))\s*",
    "list_price": r"\b(?:was|were|instead of|statt|war|waren)\s+",
    "discount": r"(?:^|[.,:;!?–—(“„]|\b(?:is|are|it's|now|get it|it|ist|sind|jetzt|gerade|es|\{name\}))\s*",
}
_AFTER_AMOUNT = re.compile(
    r"\s*(?:$|[.,:;!?()–—”“]|(?:at|bei|von|instead of|statt|and|und|today|heute|now|for now|right now|jetzt|gerade|da"
    r"|zu haben|while|was|is|war|ist|im|in)\b)",
    re.IGNORECASE,
)
_SHOP_DOES = re.compile(r"\s+(?:brings?|gives?|takes?|adds?|makes?|bringt|gibt|nimmt|macht|verleiht)\b", re.IGNORECASE)
_DOUBLE = re.compile(r"\{(\w+)\}\W+\{\1\}")
_AMOUNTS = frozenset({"price", "list_price", "discount"})
_BEFORE, _AFTER = " \u00a0\u202f(\"“„«‹'‘–—…/", " \u00a0\u202f.,;:!?)\"“”»›'’–—…/"
# Generously long values of what the facts do not hold: "1.234,56 EUR", "25 % günstiger", a long shop's name.
_LENGTHS = {"price": 12, "list_price": 12, "discount": 14, "shop": 24}
_LANGUAGE_NAMES = {"en": "English", "de": "German"}
_SILENT = 4  # words of which none needs to be one that says its language
_SMALL = 4  # letters of a word that a headline in capitals may leave small, as "with"


@dataclass(frozen=True)
class Rules:
    """What texts of one shop are held against; made once a run, asked per text."""

    lengths: Mapping[str, int]
    lexicon: Lexicon

    @classmethod
    def of(cls, copywriting: Copywriting) -> Self:
        """From the shop's knobs."""
        mine = [normal(claim) for claim in copywriting.more_claims]
        idioms = [
            ("innocent", phrase)
            for language in LANGUAGES
            for phrase in vocabulary(language).idioms
            if not any(claim in normal(phrase) for claim in mine)  # what the shop refuses is no idiom
        ]
        return cls(
            {part: getattr(copywriting, f"{part}_at_most") for part in ("headline", "sentence", "call_to_action")},
            Lexicon.of([*claim_phrases(copywriting.more_claims, copywriting.allowed_claims), *idioms]),
        )


@dataclass(frozen=True)
class Word:
    """One word of a part: as written, as compared, of which list, and whether a clause begins with it.

    ``kind`` is that of `Told.kind`; "slot" is a slot, "idiom" a word of a phrase that is fine as a whole.
    """

    raw: str
    low: str
    kind: str | None
    starts: bool


def refusals(text: Text, facts: Facts, key: TextKey, rules: Rules) -> list[str]:
    """One short sentence per reason for which the text is refused; its first word is stable. Empty: it is fine.

    >>> rules = Rules.of(Copywriting())
    >>> facts = Facts("p1", "Acme Green Tea", brand="Acme")
    >>> key = TextKey("explore", "taste", "friendly", "en", "1")
    >>> refusals(Text("A quiet evening", "{name} is for slow mornings.", "See it"), facts, key, rules)
    []
    >>> refusals(Text("Only 5 left", "{name} by Acme, with a cup.", "See it"), facts, key, rules)
    ['number: "5" in headline', 'claim: scarcity "only … left" in headline', 'word: "Only" in headline is neither \
in the facts nor in the lexicon', 'word: "left" in headline is neither in the facts nor in the lexicon', 'brand: \
"Acme" in sentence', 'fact: "by Acme" in sentence is none', 'fact: "with a cup" in sentence is none']
    """
    reasons: list[str] = []
    about = told(facts, key.language)
    occasions = (key.intent, key.reason_kind, *(["discounted"] if facts.discounted else []))
    spoken = own = unknown = 0
    for part, words in text.parts().items():
        said = visible(words)
        raw = tokens(said)
        low = compared(raw)
        reasons += _slots(part, words, facts.slots())
        reasons += _characters(part, words, raw)
        filled = len(words) + sum(_slot_length(slot, facts) - len(slot) - 2 for slot in _SLOT.findall(words))
        if filled > rules.lengths[part]:
            reasons.append(f"length: {part} takes {filled} characters, {rules.lengths[part]} at most")
        if len(raw) != len(low):  # no letters of ours, which is refused as such
            continue
        found = rules.lexicon.found(low)
        reasons += _claims(part, said, found, facts, about, rules)
        listed = _listed(said, raw, low, found, about, occasions)
        reasons += _names(part, said, listed, facts, about)
        for clause in _clauses(listed):
            reasons += _words(part, clause, about)
            reasons += _phrases(part, clause, about, occasions)
        if not said.rstrip().endswith("?"):
            reasons += _things(part, listed, about)
        spoken += sum(word.kind != "slot" for word in listed)
        own += sum(word.kind not in ("slot", "fact", None) for word in listed)
        unknown += sum(word.kind is None for word in listed)
    if spoken > _SILENT and own <= unknown:  # "see" is a lake to a German
        reasons.append(f"language: hardly a word of {_LANGUAGE_NAMES[key.language]} that we know")
    return list(dict.fromkeys(reasons))


def _slot_length(slot: str, facts: Facts) -> int:
    if slot in _LENGTHS:
        return _LENGTHS[slot]
    return len(facts.name) if slot == "name" else len(facts.brand or "")


def _slots(part: str, words: str, slots: Sequence[str]) -> Iterator[str]:
    """Slots that are not there, not well formed, or that say something wrong once they are filled."""
    if "{" not in words and "}" not in words:
        return
    for match in _SLOT.finditer(words):
        slot = match[1]
        if slot not in slots:
            yield f"slot: {match[0]} is {'not there for this product' if slot in SLOTS else 'unknown'}"
        if _glued(words, slot, match.start(), match.end()):
            yield f"slot: {match[0]} is glued to its neighbour in {part}"
        elif slot == "shop" and _SHOP_DOES.match(words, match.end()):
            yield f"slot: {match[0]} in {part} is said to do what no fact says"
        elif slot in _AMOUNTS and not _amount_is_plain(words, slot, match.start(), match.end()):
            yield f"slot: {match[0]} in {part} says something else beside its neighbours"
    if double := _DOUBLE.search(words):
        yield f'slot: "{double[0]}" in {part} says it twice'
    if template := _TEMPLATE.search(words):
        yield f'markup: "{template[0]}" in {part}'
    if _BRACE.search(_SLOT.sub("", words)):
        yield f"slot: a brace in {part} is no slot"


def _glued(words: str, slot: str, start: int, end: int) -> bool:
    """Whether a slot's value would run into a neighbour: German may say "{brand}-Tee", English "{brand}'s"."""
    before, after, beyond = words[max(start - 1, 0) : start], words[end : end + 1], words[end + 1 : end + 2]
    hyphen = "" if slot in _AMOUNTS else "-"
    if before not in _BEFORE + hyphen or after not in _AFTER + hyphen:
        return True
    return bool(after) and beyond.isalnum() and after in (".,;:!?)/'’" if slot in _AMOUNTS else ".,;:!?)/")


def _amount_is_plain(words: str, slot: str, start: int, end: int) -> bool:
    before = re.search(_BEFORE_AMOUNT[slot] + "$", words[:start], re.IGNORECASE)
    return bool(before and _AFTER_AMOUNT.match(words, end))


def _characters(part: str, words: str, raw: Sequence[str]) -> Iterator[str]:
    """What is wrong with the characters, whatever the words mean."""
    if not raw:
        yield f"empty: {part}"
    rest = _BRACE.sub("", _SLOT.sub("", words)) if "{" in words or "}" in words else words
    rest = rest if rest.isascii() else unicodedata.normalize("NFC", rest)
    if not _PLAIN.fullmatch(rest):
        yield from (f"{_character(c)} in {part}" for c in dict.fromkeys(rest) if not _PLAIN.fullmatch(c))
    for kind, pattern in _PATTERNS:
        if match := pattern.search(rest):
            yield f'{kind}: "{match[0].strip()}" in {part}'
    if match := _LIST_MARK.match(words):
        yield f'markup: "{match[0].strip()}" in {part}'
    if sum(len(word) == 1 for word in raw) >= _SPELLED_LETTERS and (match := _SPELLED.search(visible(words))):
        yield f'letters: "{match[0]}" in {part} is spelled out'
    for word in raw:
        if len(word) > 1 and word.isupper() and word not in _NO_ROMAN and _ROMAN.fullmatch(word):
            yield f'number: "{word}" in {part}'


def _character(c: str) -> str:
    """What is wrong with a character that stands in no plain text."""
    category = unicodedata.category(c)
    kind = _KINDS.get(c) or _KINDS.get(category) or _KINDS.get(category[0], "control")
    return f'{kind}: "{c}"' if c.isprintable() else f"{kind}: U+{ord(c):04X}"


def _claims(part: str, said: str, found: Sequence[Found], facts: Facts, about: Told, rules: Rules) -> Iterator[str]:
    """Claims that the data does not make, or that no text may repeat."""
    excused = _excused(found, about)
    claimed = [one for one in found if not any(start <= one.start and one.end <= end for start, end in excused)]
    for word in _HYPHENATED.findall(said):  # "gra-tis" is one word to a reader
        claimed += rules.lexicon.found(compared([_HYPHEN.sub("", word)]))
    for one in claimed:
        if one.kind not in _FINE | about.attested and not (one.kind == "discount" and facts.discounted):
            yield f'claim: {one.kind} "{one.phrase}" in {part}'


_FINE = frozenset({"innocent", "allowed"})


def _excused(found: Sequence[Found], about: Told) -> list[tuple[int, int]]:
    """Where in a text what is said is fine as a whole."""
    fine = _FINE | about.attested
    return [(one.start, one.end) for one in found if one.kind in fine]


def _listed(
    said: str, raw: Sequence[str], low: Sequence[str], found: Sequence[Found], about: Told, occasions: Sequence[str]
) -> list[Word]:
    """The words of a part, each with the list that it stands in."""
    idioms = {at for start, end in _excused(found, about) for at in range(start, end)}
    words, place = list[Word](), 0
    for at, (word, compare) in enumerate(zip(raw, low, strict=True)):
        here = said.index(word, place)
        starts = at == 0 or any(c in _CLAUSE_ENDS for c in said[place:here])
        place = here + len(word)
        kind = "slot" if word[0] == "{" else "idiom" if at in idioms else about.kind(compare, occasions)
        if compare == "s" and raw[at - 1][0] == "{":  # "{brand}'s"
            kind = "little"
        around = pairwise(low[max(at - 1, 0) : at + 2])
        if kind is None and not is_number(compare) and any(pair in about.pairs for pair in around):
            kind = "fact"  # "double cream" as the facts have it, of which "double" alone says nothing
        words.append(Word(word, compare, kind, starts))
    return words


def _clauses(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    starts = [at for at, word in enumerate(words) if word.starts]
    return (words[start:end] for start, end in pairwise([*starts, len(words)]))


def _words(part: str, clause: Sequence[Word], about: Told) -> Iterator[str]:
    """Words that nothing has, and what is denied of what the data does not deny."""
    denies = False
    for word in clause:
        if word.kind == "idiom":
            continue
        if word.low in about.vocabulary.negators:
            denies = True
        elif denies and word.kind not in ("little", "slot") and not about.denies(word.low):
            yield f'fact: "{word.raw}" in {part} is denied by no fact'
        elif word.kind is None and not (denies and about.denies(word.low)):
            if word.low in about.brand:
                yield f'brand: "{word.raw}" in {part}'
            else:
                yield f'word: "{word.raw}" in {part} is neither in the facts nor in the lexicon'
    if denies and not any(about.denies(word.low) for word in clause):
        yield f'fact: "{_quoted(clause)}" in {part} denies what no fact denies'


def _phrases(part: str, clause: Sequence[Word], about: Told, occasions: Sequence[str]) -> Iterator[str]:
    """What is said with words that each are fine: parts, makers, other people's opinions, moods of a product."""
    here = about.vocabulary
    denies = False
    for at, word in enumerate(clause):
        after = clause[at + 1 :]
        if word.kind == "idiom":
            continue
        denies = denies or word.low in here.negators
        if word.low in here.bound and not denies and (wrong := _unbound(clause, at, about)) is not None:
            yield f'fact: "{_quoted(clause[at : at + 1 + wrong])}" in {part} is none'
        if word.kind == "mood" and not about.words(word.low) and not _of_a_moment(after, about):
            yield f'fact: "{word.raw}" in {part} is said of no time or mood'
        beside = (
            not denies
            and bool(after)
            and all(
                one.kind == "fact" or (one.kind in ("things", "mood") and about.words(one.low))
                for one in (word, after[0])
            )
        )
        if beside and not about.side_by_side(word.low, after[0].low):
            yield f'fact: "{word.raw} {after[0].raw}" in {part} is none'
        if word.kind == "people" or word.low in here.whose:
            said = _says(clause, at, here.opinions)
            if said is not None and not any(
                said.low in here.occasions[one] for one in occasions if one in here.occasions
            ):
                yield f'fact: "{word.raw} … {said.raw}" in {part} speaks for others'


def _says(clause: Sequence[Word], place: int, opinions: frozenset[str]) -> Word | None:
    """What somebody is said to think; "friends who like it" are no such people, only those whom it may be for."""
    relative = False
    for before, word in pairwise(clause[max(place - 3, 0) : place]):  # "ein lieber Freund" is dear, and loves nothing
        if word.low in opinions and before.low not in _ARTICLES and clause[place - 1].low != "to":
            return word
    for word in clause[place + 1 :]:
        if word.low in opinions and not relative:
            return word
        relative = word.low in _WHO or (relative and word.low not in opinions)
    return None


def _unbound(clause: Sequence[Word], place: int, about: Told) -> int | None:
    """How many words after a bound one say what no fact says; None where all is fine."""
    word, after = clause[place], clause[place + 1 :]
    holder = next((one.low for one in reversed(clause[:place]) if about.words(one.low)), "")
    may = about.vocabulary.bound[word.low]
    if word.low in _WITH and any(one.low in about.vocabulary.together for one in clause[:place]):
        return None
    if after and (after[0].low in may or (word.low, after[0].low) in about.pairs):
        return None
    if not {"fact", "same"} & may:
        return None if (after[0].kind if after else ".") in may else len(after[:1])
    behind = word.low
    for at, one in enumerate(after):
        if one.low in may or one.kind in may or one.low in about.vocabulary.negators:  # a denial is looked at by itself
            return None
        is_passed = one.kind in _PASSED and not about.words(one.low)
        bound = one.low in about.vocabulary.bound and not ("same" in may and one.low in PREPOSITIONS)
        if is_passed and not bound and one.kind != "does":
            behind = one.low if one.low in PREPOSITIONS else behind
            continue
        if is_passed:  # the next one is looked at by itself
            fine = "fact" in may
        else:
            is_fact = "fact" in may and bool(about.words(one.low))
            fine = is_fact or ("same" in may and about.follows(one.low, behind, holder))
        return None if fine else at + 1
    return None if {"fact", "."} & may else 0


_PASSED = frozenset({"little", "evaluative", "mood", "does", "occasion"})


def _of_a_moment(after: Sequence[Word], about: Told) -> bool:
    """Whether what a mood is said of is a time, or something else than the product: "quiet mornings", "warm toast"."""
    said_of = next((one for one in after if one.kind not in ("mood", "evaluative") and one.low not in _AND), None)
    if said_of is None or said_of.kind not in ("moments", "people", "occasion", "things"):
        return False
    return said_of.kind != "things" or not about.words(said_of.low)


def _things(part: str, words: Sequence[Word], about: Told) -> Iterator[str]:
    """Things that are not said to stand around, but to be the product, to be in it or to come as well."""
    before = ""  # the last word but articles, things and what is said of them
    for word, after in zip_longest(words, words[1:]):
        if word.kind == "things" and not about.words(word.low) and not about.denies(word.low):
            is_full = (
                after is not None and not after.starts and (after.low == "of" or after.kind in ("slot", "moments"))
            )
            if before not in about.vocabulary.places and not is_full:  # "a cup of {name}", "ein Löffel Glück"
                yield f'fact: "{word.raw}" in {part} is no part of the product'
        elif word.low in about.vocabulary.places or not (
            word.kind in ("evaluative", "mood", "moments", "senses") or word.low in _ARTICLES
        ):
            before = word.low


_ARTICLES = frozenset(
    """
    a an the your this that and or ein eine einen einem einer der die das den dem dein deine deinen deinem deiner ihr
    ihre ihren ihrem ihrer und oder next nächste nächsten nächstem nächstes
    """.split()  # noqa: SIM905  a list of so many literals is no easier to read
)
_WITH = frozenset({"with", "mit"})
_WHO = frozenset({"who", "that", "der", "die", "wer"})
_AND = frozenset({"and", "or", "und", "oder"})
_CLAUSE_ENDS = frozenset('.,;:!?()“”"–—…')


def _quoted(words: Sequence[Word]) -> str:
    return " ".join(word.raw for word in words)


def _names(part: str, said: str, words: Sequence[Word], facts: Facts, about: Told) -> Iterator[str]:
    """The product's name as words, or a name of anybody."""
    own = tuple(compared(tokens(re.sub(r"\d[\d.,]*\s*\w{0,2}\b", " ", facts.name))))[:2]
    for first, second in pairwise(words):
        if (first.low, second.low) == own and all(word.raw != word.low for word in (first, second)):
            yield f'name: "{first.raw} {second.raw}" in {part}'
    if about.vocabulary.language != "en":  # German writes every noun so
        return
    told_so = set(
        tokens(f"{facts.name} {facts.category} {facts.description} {' '.join(facts.tags)} {facts.attributes}")
    )
    for word, amid in zip(words, _amid(said, [word.raw for word in words]), strict=True):
        if amid and word.raw not in told_so and word.low not in _CALENDAR and not about.words(word.low):
            yield f'name: "{word.raw}" in {part} is in none of the facts'


_CALENDAR = frozenset(  # English writes these so
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september
    october november december christmas easter halloween
    """.split()  # noqa: SIM905  as above
)


def _amid(said: str, raw: Sequence[str]) -> list[bool]:
    """Per word, whether it has a capital that no start of a sentence gives it; none in A Headline Written Like This."""
    written = [word for word in raw if word[0] != "{"]
    large = [word[0].isupper() for word in written if len(word) > _SMALL]
    if all(large) and sum(word[0].isupper() for word in written) * 2 > len(written):
        return [False] * len(raw)
    amid, place, starts = [], 0, True
    for word in raw:
        found = said.index(word, place)
        starts = starts or any(c in _STARTS for c in said[place:found])
        amid.append(word[0].isupper() and not starts)
        place, starts = found + len(word), False
    return amid
