"""Why a text about a product is refused; a template stands in for it then.

A model that writes well still invents: an amount, a brand, a reason to hurry. What can be false stands in slots, filled
from the catalogue; so the rest may hold no number in digits or words, no price, no address, no name, no claim
(`logic.copy_claims`), no markup, nothing that a reader cannot see, no other language and nothing said to or by a model.
Where that is not clear, a text is refused: it costs a template, and the other mistake costs a shop its word.

Names are the hard part, as shops sell "Milk" by "Simply". A brand, or a whole name of three words, is one in any case
of letters. A shorter name, or a brand all of whose words are ordinary, is one only where it is written so: both of its
words with capitals, or its only word amid an English sentence. Ordinary is what the catalogue uses as words: amid names
rather than at their front, in two of them or more, or in this product's category, tags or description; and a short list
of ours. Of a product's own name the first two words are enough, with capitals. What stands capitalised amid an English
sentence and in none of the facts is a name too ("Gordon Blythe swears by it"). German writes every noun so, and
only the known names are found in it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from recsys_assets.logic.copy_claims import ATTESTED, claim_phrases
from recsys_assets.logic.copy_facts import SLOTS, Facts, Language, Text
from recsys_assets.logic.copy_words import (
    CAPITALS,
    GENERIC,
    NO_NUMBERS,
    OWN_KINDS,
    OWN_PHRASES,
    SPOKEN,
    Lexicon,
    compared,
    tokens,
    visible,
)
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
_UMLAUT = re.compile("[äöüßÄÖÜ]")
_STARTS = frozenset('.!?:;…"“”„(–—')
# What makes an amount say something else, or the discount ("25 % off", "25 % günstiger") be said twice.
_BESIDE = re.compile(
    r"\b(?:sav(?:e|es|ed|ing)|spar(?:e|en|st|t)|under|below|over|above|less than|more than|at least|up to|nearly|almost"
    r"|unter|über|unterhalb von|fast|etwa|mindestens|höchstens|ab|from|was|were|previously|formerly|statt|anstatt"
    r"|instead of|war|früher|vorher|rabatt von|discount of)\s+\{price\}"
    r"|\b(?:sav(?:e|es|ed|ing)|spar(?:e|en|st|t)|now|only|just|for|at|jetzt|nur|für|heute|today|under|kostet|costs?)\s+"
    r"(?:(?:jetzt|now|nur|only|just)\s+)?\{list_price\}"
    r"|\b(?:sav(?:e|es|ed|ing)|saves you|spar(?:e|en|st|t)|mit|von|für|zu|zum|by|of|an?|at|for|the|der|den|dem"
    r"|einen?)\s+\{discount\}"
    r"|\{discount\}\s+(?:off|discount|savings?|reduction|less|cheaper|reduced|of|rabatt|günstiger|billiger|nachlass"
    r"|ersparnis|weniger|reduziert|auf|preis|price|sparen)\b"
    r"|\{(?:list_)?price\}\s+(?:off|less|cheaper|more|discount|savings?|rabatt|günstiger|billiger|weniger|mehr|nachlass"
    r"|per|pro|each|je|sparen|monthly|an? (?:day|week|month|year|piece|cup|serving|bottle)"
    r"|(?:am|im|die|das) (?:tag|monat|jahr|woche|stück|flasche))\b"
    r"|\{(?:price|list_price|discount)\}\s*[-,/&]?\s*\{(?:price|list_price)\}|\{(\w+)\}\s+\{\1\}",
    re.IGNORECASE,
)
_AMOUNTS = frozenset({"price", "list_price", "discount"})
_BEFORE, _AFTER = " \u00a0\u202f(\"“„«‹'‘–—…/", " \u00a0\u202f.,;:!?)\"“”»›'’–—…/"
# Generously long values of what the facts do not hold: "1.234,56 EUR", "25 % günstiger", a long shop's name.
_LENGTHS = {"price": 12, "list_price": 12, "discount": 14, "shop": 24}
_LANGUAGE_NAMES = {"en": "English", "de": "German"}
_SILENT = 4  # words of which none needs to be one that says its language
_NEVER_EXCUSED = frozenset({"instruction", "url", "price", "percent"})
_TO_A_WRITER = re.compile(
    r"\b(?:ignor\w*|disregard|copywriter|writer|write|say|state|mention|tell|reply|respond|answer|output|prompt|models?|ai"
    r"|llm|assistant|system|instructions?|schreib\w*|erwähn\w*|sag\w*|antwort\w*|ki|sprachmodell\w*|texter\w*"
    r"|anweisung\w*)\b",
    re.IGNORECASE,
)
_COPIED = 4  # words in a row
_SMALL = 4  # letters of a word that a headline in capitals may leave small, as "with"


@dataclass(frozen=True)
class Rules:
    """What texts of one shop are held against; made once a run, asked per text.

    ``known_brands`` and ``known_names`` are as `compared` leaves them, words with a space between them. ``ordinary``
    are the words that the catalogue's names use as words; ``starts`` says of a word how long the names are that begin
    with it, so that a text is looked up in thousands of names at the cost of one.
    """

    lengths: Mapping[str, int]
    more_claims: tuple[str, ...]
    allowed_claims: tuple[str, ...]
    known_brands: frozenset[str]
    known_names: frozenset[str]
    ordinary: frozenset[str]
    starts: Mapping[str, tuple[int, ...]]
    lexicon: Lexicon

    @classmethod
    def of(cls, copywriting: Copywriting, brands: Iterable[str], names: Iterable[str]) -> Self:
        """From the shop's knobs and the catalogue's brand and product names."""
        named = {" ".join(words): words for words in map(name_words, names) if words}
        branded = {" ".join(words): words for words in map(name_words, brands) if words}
        amid = Counter(word for words in named.values() for word in set(words[1:]))
        starts: dict[str, set[int]] = {}
        for words in (*named.values(), *branded.values()):
            starts.setdefault(words[0], set()).add(len(words))
        more, allowed = copywriting.more_claims, copywriting.allowed_claims
        return cls(
            {part: getattr(copywriting, f"{part}_at_most") for part in ("headline", "sentence", "call_to_action")},
            more,
            allowed,
            frozenset(branded),
            frozenset(named),
            GENERIC | {word for word, names_with in amid.items() if names_with >= 2},
            {word: tuple(sorted(lengths)) for word, lengths in starts.items()},
            Lexicon.of([*claim_phrases(more, allowed), *OWN_PHRASES]),
        )


def name_words(name: str) -> tuple[str, ...]:
    """A name's words without sizes: "Tea 100 g" and "Tea" are one name in a text."""
    return tuple(word for word in compared(tokens(re.sub(r"\d[\d.,]*\s*\w{0,2}\b", " ", name))) if len(word) > 1)


def refusals(text: Text, facts: Facts, language: Language, rules: Rules) -> list[str]:
    """One short sentence per reason for which the text is refused; its first word is stable. Empty: it is fine.

    >>> rules = Rules.of(Copywriting(), ["Acme"], ["Acme Green Tea"])
    >>> facts = Facts("p1", "Acme Green Tea", brand="Acme")
    >>> refusals(Text("A quiet cup", "{name} is for slow mornings.", "See it"), facts, "en", rules)
    []
    >>> refusals(Text("Only 5 left", "{name} by Acme.", "See it"), facts, "en", rules)
    ['number: "5" in headline', 'claim: scarcity "only … left" in headline', 'brand: "Acme" in sentence']
    """
    reasons: list[str] = []
    slots, copied_from = facts.slots(), _instructions(facts.description or "")
    own = spoken = 0
    for part, words in text.parts().items():
        said = visible(words)
        raw = tokens(said)
        low = compared(raw)
        reasons += _slots(part, words, slots)
        reasons += _characters(part, words, raw)
        filled = len(words) + sum(_slot_length(slot, facts) - len(slot) - 2 for slot in _SLOT.findall(words))
        if filled > rules.lengths[part]:
            reasons.append(f"length: {part} takes {filled} characters, {rules.lengths[part]} at most")
        reasons += _phrases(part, said, low, facts, language, rules)
        reasons += _names(part, said, raw, low, facts, language, rules)
        here, strange = _spoken(raw, low, language)
        own, spoken = own + here, spoken + sum(word[:1] != "{" for word in low)
        if strange and (here == 0 or (len(strange) > 1 and len(strange) > here)):
            reasons.append(f'language: "{strange[0]}" in {part} is not {_LANGUAGE_NAMES[language]}')
        if copied_from and (copied := next((run for run in _runs(low) if run in copied_from), None)):
            reasons.append(f'instruction: "{" ".join(copied)}" in {part} is copied from one in the description')
    if not own and spoken > _SILENT and not any(reason.startswith("language") for reason in reasons):
        reasons.append(f"language: no word of {_LANGUAGE_NAMES[language]} that we know")
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
    if beside := _BESIDE.search(words):
        yield f'slot: "{beside[0]}" in {part} says something else once it is filled'
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


def _phrases(part: str, said: str, low: Sequence[str], facts: Facts, language: Language, rules: Rules) -> Iterator[str]:
    """Claims, amounts in words, addresses and instructions."""
    listed = rules.lexicon.found(low)
    excused = [(one.start, one.end) for one in listed if one.kind == "innocent"]
    found = [
        one
        for one in listed
        if one.kind in _NEVER_EXCUSED or not any(start <= one.start and one.end <= end for start, end in excused)
    ]
    for word in _HYPHENATED.findall(said):  # "gra-tis" and "fif-ty" are one word to a reader
        found += rules.lexicon.found(compared([_HYPHEN.sub("", word)]))
    for one in found:
        if one.kind == "innocent":
            continue
        if one.kind in OWN_KINDS:
            if one.phrase not in NO_NUMBERS[language]:
                yield f'{one.kind}: "{one.phrase}" in {part}'
        elif not _is_true(one.kind, facts, rules.lexicon):
            yield f'claim: {one.kind} "{one.phrase}" in {part}'


def _is_true(kind: str, facts: Facts, lexicon: Lexicon) -> bool:
    """Whether the catalogue itself says what the claim says."""
    if kind not in ATTESTED:
        return kind == "discount" and facts.discounted
    said = (facts.name, facts.category, facts.description, facts.attributes, *facts.tags)
    return any(one.kind == kind for words in said if words for one in lexicon.found(compared(tokens(words))))


@lru_cache(maxsize=1024)
def _own_names(facts: Facts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    both = (("name", name_words(facts.name)), ("brand", name_words(facts.brand or "")))
    return tuple((what, words) for what, words in both if words)


@lru_cache(maxsize=1024)
def _told(facts: Facts) -> frozenset[str]:
    """The words that the catalogue uses of a product beside its names."""
    said = (facts.category or "", facts.description or "", *facts.tags)
    return frozenset(compared([word for words in said for word in tokens(words)]))


def _names(
    part: str, said: str, raw: Sequence[str], low: Sequence[str], facts: Facts, language: Language, rules: Rules
) -> Iterator[str]:
    """The first brand or name that stands as words."""
    if len(raw) != len(low):  # no letters of ours, which is refused as such
        return
    capital = [word != word.lower() and word[0] != "{" for word in raw]
    amid = _amid(said, raw) if language == "en" and sum(capital) > 1 else ()
    own = _own_names(facts)
    own_starts = {name[0] for _, name in own}
    for at, word in enumerate(low):
        if word not in rules.starts and word not in own_starts:
            continue
        for what, name in own:
            # "The Court Classic in white"
            if what == "name" and len(name) > 1 and tuple(low[at : at + 2]) == name[:2] and all(capital[at : at + 2]):
                yield f'name: "{" ".join(raw[at : at + 2])}" in {part}'
                return
        for what, name in _known(at, word, low, facts, rules):
            size = len(name)
            ordinary = all(each in rules.ordinary or each in _told(facts) for each in name)
            written = capital[at] and (sum(capital[at : at + size]) > 1 or (bool(amid) and amid[at]))
            if written or (what == "name" and size > 2) or (what == "brand" and not ordinary):
                yield f'{what}: "{" ".join(raw[at : at + size])}" in {part}'
                return
    if any(amid):
        names = {word for what, name in own if what == "name" for word in name}
        for at, word in enumerate(low):
            if amid[at] and word not in CAPITALS and word not in names and word not in _told(facts) and len(word) > 1:
                yield f'name: "{raw[at]}" in {part} is in none of the facts'
                return


def _known(at: int, word: str, low: Sequence[str], facts: Facts, rules: Rules) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Whole names, of this product or any other, that begin with a word."""
    for what, name in _own_names(facts):
        if name[0] == word and tuple(low[at : at + len(name)]) == name:
            yield what, name
    for size in rules.starts.get(word, ()):
        name = tuple(low[at : at + size])
        key = " ".join(name)
        if key in rules.known_brands:
            yield "brand", name
        elif key in rules.known_names:
            yield "name", name


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


def _spoken(raw: Sequence[str], low: Sequence[str], language: Language) -> tuple[int, list[str]]:
    """How many words are of the language, and the words that are of others only."""
    own, strange = 0, []
    for word in low:
        if languages := SPOKEN.get(word):
            if language in languages:
                own += 1
            else:
                strange.append(word)
    if language == "en":
        strange += [word for word in raw if not word.isascii() and _UMLAUT.search(word)]
    return own, strange


@lru_cache(maxsize=1024)
def _instructions(description: str) -> frozenset[tuple[str, ...]]:
    """Runs of words of a description from where it first speaks to a writer; none where it speaks to buyers only."""
    if not (match := _TO_A_WRITER.search(description)):
        return frozenset()
    start = max(description.rfind(end, 0, match.start()) for end in ".!?\n") + 1
    return frozenset(_runs(compared(tokens(visible(description[start:])))))


def _runs(low: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(low[at : at + _COPIED]) for at in range(len(low) - _COPIED + 1))
