"""How the words of a text are compared, and phrases found among them.

A phrase is words with a space between them, where ``heal*`` stands for any word that begins so, ``*garantie`` for any
that ends so (from four letters up), and ``…`` for up to four words of any kind. Case, accents and hyphens do not count:
"Öko-Strom" is found by "öko". `logic.copy_claims` lists what no text may claim in such phrases.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

_FOLD = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "œ": "oe", "æ": "ae", "ø": "o", "’": "'", "‘": "'", "`": "'"})
_GAP = 4  # words that "…" spans at most
_KEY = 4  # letters by which stems and tails are looked up; no stem of a list is shorter
_LETTERS = re.compile(r"\{\w+\}|[^\W\d_]+(?:['’][^\W\d_]+|-free\b)*", re.IGNORECASE)


def visible(words: str) -> str:
    r"""``words`` composed, without what no reader sees: soft hyphens, zero widths, bidi marks.

    >>> visible("gra\u00adtis")
    'gratis'
    """
    if words.isascii():
        return words
    return "".join(c for c in unicodedata.normalize("NFC", words) if unicodedata.category(c) != "Cf")


def normal(words: str) -> str:
    """Words as they are compared: lower case, umlauts spelled out, no accents, no possessive s.

    >>> normal("Öko-Käse's"), normal("CAFÉ")
    ('oeko-kaese', 'cafe')
    """
    if words.isascii():
        folded = words.lower()
    else:
        folded = unicodedata.normalize("NFKC", words).casefold().translate(_FOLD)
        if not folded.isascii():
            folded = "".join(c for c in unicodedata.normalize("NFD", folded) if not unicodedata.combining(c))
    return _POSSESSIVE.sub("", folded) if "'" in folded else folded


_POSSESSIVE = re.compile(r"'s?(?![a-z])")


def tokens(words: str) -> list[str]:
    """The words of a text as written; a slot is one, and so is "sugar-free", which else would hold "free".

    >>> tokens("Sugar-free fun, {name}'s way!")
    ['Sugar-free', 'fun', '{name}', 's', 'way']
    """
    return _LETTERS.findall(words)


def compared(words: Sequence[str]) -> list[str]:
    """`normal` of each."""
    return normal("\n".join(words)).split("\n") if words else []


@dataclass(frozen=True)
class Found:
    """A phrase of a list among words: ``words[start:end]``."""

    kind: str
    phrase: str
    start: int
    end: int


@dataclass(frozen=True)
class Lexicon:
    """Phrases by their first word: as it is, by its beginning, by its end. Made once, asked per text."""

    exact: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]]
    stems: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]]
    tails: Mapping[str, tuple[tuple[str, str, tuple[str, ...]], ...]]

    @classmethod
    def of(cls, phrases: Iterable[tuple[str, str]]) -> Self:
        """From (kind, phrase).

        >>> lexicon = Lexicon.of([("scarcity", "only … left"), ("health", "heal*")])
        >>> [(one.kind, one.phrase) for one in lexicon.found(["only", "a", "few", "left", "healing"])]
        [('scarcity', 'only … left'), ('health', 'heal*')]
        """
        sorts: tuple[dict[str, list[tuple[str, str, tuple[str, ...]]]], ...] = ({}, {}, {})
        for kind, phrase in phrases:
            words = phrase_words(phrase)
            if not words:
                continue
            first = words[0]
            is_stem, is_tail = first[-1] == "*", first[0] == "*"
            key = first[:_KEY] if is_stem else first[-_KEY:] if is_tail else first
            sorts[1 if is_stem else 2 if is_tail else 0].setdefault(key, []).append((kind, phrase, words))
        return cls(*({key: tuple(found) for key, found in sort.items()} for sort in sorts))

    def found(self, words: Sequence[str]) -> list[Found]:
        """Every phrase among ``words``, which `compared` has left; in the order of the words."""
        found: list[Found] = []
        exact, stems, tails = self.exact.get, self.stems.get, self.tails.get
        for start, word in enumerate(words):
            for ones in (exact(word), stems(word[:_KEY]), tails(word[-_KEY:])):
                for kind, phrase, sought in ones or ():
                    if _fits(word, sought[0]) and (end := _end(sought, 1, words, start + 1)):
                        found.append(Found(kind, phrase, start, end))
        return found


def phrase_words(phrase: str) -> tuple[str, ...]:
    """A phrase's words, stars and ellipses as `Lexicon` matches them."""
    words = _PHRASE_WORD.findall(normal(phrase.replace("…", "~")))
    return tuple("…" if word == "~" else word.strip("*") if len(word) <= _KEY else word for word in words)


_PHRASE_WORD = re.compile(r"~|\*?[^\W_]+(?:'[^\W_]+|-free\b)*\*?")


def _fits(word: str, sought: str) -> bool:
    if sought[-1] == "*":
        return word.startswith(sought[:-1])
    return word.endswith(sought[1:]) if sought[0] == "*" else word == sought


def _end(sought: tuple[str, ...], at: int, words: Sequence[str], place: int) -> int:
    """Where the rest of a phrase ends that continues at ``place``; 0 where it does not."""
    while at < len(sought):
        if sought[at] == "…":
            if at + 1 == len(sought):  # at the end it stands for at least one word
                return place + 1 if place < len(words) else 0
            ends = (_end(sought, at + 1, words, place + gap) for gap in range(_GAP + 1))
            return next((end for end in ends if end), 0)
        if place >= len(words) or not _fits(words[place], sought[at]):
            return 0
        at, place = at + 1, place + 1
    return place
