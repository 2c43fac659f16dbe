"""The words that a text may use: those of its language's lexicon, and those of the product's own data.

A lexicon (``lexicon/en.txt``) is closed: what stands in none of its lists and in none of the facts is refused, whatever
it says. A word of the facts may be used in any form, and two of them side by side, or one behind "of" and "from", only
where the facts have them so: "a leather sole" is no fact of leather shoes with a rubber sole. What a clause of the data
denies ("no added sugar", ``"vegan": false``) or leaves open ("may contain nuts", "lid sold separately") is no fact.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, pairwise, product
from pathlib import Path

from recsys_assets.logic.copy_claims import ATTESTED
from recsys_assets.logic.copy_facts import LANGUAGES, Facts, Language
from recsys_assets.logic.copy_words import Lexicon, compared, normal, tokens, visible

FOLDER = Path(__file__).parent / "lexicon"
_NOUNS = ("moments", "senses", "people", "things")
_OPEN = ("little", "evaluative", "mood", *_NOUNS, "verbs", "does")  # any text may use; a word is of the first it is in
OCCASIONS = (
    "gift", "upgrade", "accessory", "replenish", "explore", "bought_before", "similar_owned", "category_owned",
    "popular", "taste", "pinned", "discounted",
)  # fmt: skip
_RULES = ("bound", "not", "places", "together", "opinion", "who", "idioms")
_SECTION = re.compile(r"^\[(\w+)\]$", re.MULTILINE)
_COMMENT = re.compile(r"^#.*\n", re.MULTILINE)
_ENDINGS: Mapping[Language, tuple[str, ...]] = {"en": ("s", "es"), "de": ("e", "en", "er", "es", "em", "n", "s", "ern")}
_SHORTEST = 3  # letters of what is left when an ending goes, and of a part of a compound
_NO_SUCH = ("kunst", "imitat", "schein", "attrappen", "ersatz", "un")  # "Kunstleder" is no "Leder"
_JOINTS = ("", "s", "n", "en", "es")
_CLAUSE = re.compile(r"[.,;:!?()\[\]\n\r–—•|/]+")
# Beside these a clause of the data denies what its words name, or leaves it open, so that nobody may affirm or deny it.
_DENIES = frozenset(
    """
    not no without never isn't aren't doesn't don't non nicht kein keine keinen keinem keiner ohne nie false nein
    """.split()  # noqa: SIM905  a list of so many literals is no easier to read
)
_LEAVES_OPEN = frozenset(
    """
    separately optional optionally may might can traces reminiscent inspired alternative replaces replacement instead
    unlike avoid except less separat optional erhaeltlich kann koennen spuren ersatz statt anstatt ausser nachempfunden
    """.split()  # noqa: SIM905  as above
)
# The word behind the first is not quite said either, nor that before the others: "faux fur", "leather look".
_LIKE, _LOOK = frozenset({"like", "faux", "fake", "imitation", "wie"}), frozenset({"look", "effect", "optik", "imitat"})
_FREE_OF = frozenset({("free", "of"), ("free", "from"), ("frei", "von")})
# Behind these begins another noun phrase; behind those of `_WITH` a part of the product.
PREPOSITIONS = frozenset(
    "with of from by for in on at to mit aus von vom fuer in im am auf zu zum zur nach".split()  # noqa: SIM905
)
_WITH, _AND = frozenset({"with", "mit", "samt", "including", "inklusive"}), frozenset({"and", "or", "und", "oder"})
_ALIKE = dict.fromkeys(("of", "from"), ("of", "from")) | dict.fromkeys(("aus", "von", "vom"), ("aus", "von", "vom"))
_MATERIAL = frozenset({"material", "materials", "fabric", "stoff", "werkstoff"})
_ORIGIN = frozenset({"origin", "country", "region", "herkunft", "ursprung", "land", "anbaugebiet"})
_TO_A_WRITER = re.compile(
    r"\b(?:ignor\w*|disregard|copywriter|writer|write|say|mention|tell|reply|respond|answer|prompt|models|ai"
    r"|llm|assistant|system|instructions?|schreib\w*|erwähn\w*|sagt?|sagen|sage(?=\W+(?:dass|den|dem|der|es|etwas|ihnen|bitte))|antwort\w*|ki|sprachmodell\w*|texter\w*"
    r"|anweisung\w*)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?:two|three|four|five|six|seven|eight|nine|ten)(?:s|th|teen|ty|fold)?|eleven|twelve|thirteen|thirty|fift(?:een|y|h)"
    r"|forty|eighteen|eighty|twent(?:y|ies)|hundreds?|thousands?|millions?|dozens?|triple"
    r"|(?:zwei|drei|vier|fuenf|sechs|sieben|neun|zehn|zwoelf|hundert|tausend|dutzend|mehrfach)\w*"
    r"|acht(?:e[nrsm]?|zehn|zig|fach)?|elf(?:te[nrsm]?|fach)?|zwanzig\w*"
)
_AMOUNT = re.compile(
    _NUMBER.pattern + r"|twice|double|half|single|thrice|doppelt\w*|halb\w*|einzel\w*|free|first|erst\w*"
)
_ATTESTED = Lexicon.of([(kind, phrase) for kind, phrases in ATTESTED.items() for phrase in phrases])


@dataclass(frozen=True)
class Vocabulary:
    """One language's lexicon. ``kinds`` tells of a word in which list it stands; ``bound`` what may follow it."""

    language: Language
    kinds: Mapping[str, str]
    occasions: Mapping[str, frozenset[str]]
    bound: Mapping[str, frozenset[str]]
    negators: frozenset[str]
    places: frozenset[str]
    together: frozenset[str]
    opinions: frozenset[str]
    whose: frozenset[str]
    idioms: tuple[str, ...]
    own: frozenset[str]  # words that no fact of another language may bring


@cache
def vocabulary(language: Language) -> Vocabulary:
    """Of a language's file, with the forms of its words."""
    _, *parts = _SECTION.split(_COMMENT.sub("", (FOLDER / f"{language}.txt").read_text("utf-8")))
    lists = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(lists) <= {*_OPEN, *OCCASIONS, *_RULES}, f"{language}.txt has a list that nobody reads"
    words = {
        name: compared(lists.get(name, "").split())
        for name in (*_OPEN, *OCCASIONS, "not", "places", "together", "opinion", "who")
    }
    kinds: dict[str, str] = {}
    for name in _OPEN:
        for word in words[name]:
            for form in {word, *_declined(word, name, language)}:
                kinds.setdefault(form, name)
    bound = dict[str, frozenset[str]]()
    for line in lists["bound"].strip().split("\n"):
        heads, _, after = line.partition(":")
        bound |= dict.fromkeys(compared(heads.split()), frozenset(normal(after).split()))
    for name in bound:
        kinds.setdefault(name, "little")
    occasions = {
        name: frozenset(form for word in words[name] for form in {word, *_declined(word, "things", language)})
        for name in OCCASIONS
    }
    return Vocabulary(
        language, kinds, occasions, bound, frozenset(words["not"]),
        frozenset(words["places"]), frozenset(words["together"]), frozenset(words["opinion"]),
        frozenset(words["who"]), tuple(" ".join(one.split()) for one in lists["idioms"].split(",")),
        frozenset({*words["little"], *words["not"], *bound}),
    )  # fmt: skip


def is_number(word: str) -> bool:
    """Whether a word of the facts says an amount, which no text may repeat."""
    return _NUMBER.fullmatch(word) is not None


def _declined(word: str, name: str, language: Language) -> Iterator[str]:
    """A word's forms, by the list that it stands in."""
    if language == "de" and name in (*_NOUNS, "evaluative", "mood"):
        stem = word.removesuffix("e")
        yield from (stem + ending for ending in _ENDINGS["de"])
    elif name in _NOUNS:
        yield from _plural(word)
    elif name == "verbs" and language == "en":
        yield _joined(word, "ing")
    elif name == "verbs" and word.endswith("n"):
        stem = word.removesuffix("n").removesuffix("e")
        yield from (stem, stem + "e", stem + "st")
        if stem.endswith("el"):
            yield stem.removesuffix("el") + "le"  # "radle"


def _plural(word: str) -> Iterator[str]:
    yield word[:-1] + "ies" if word[-1] == "y" and word[-2] not in "aeiou" else word + "s"
    if word.endswith(("s", "x", "ch", "sh", "z", "o")):
        yield word + "es"


def _joined(word: str, ending: str) -> str:
    return (word[:-1] if word[-1] == "e" and word[-2:] != "ee" else word) + ending


def _inflected(word: str, language: Language) -> set[str]:
    """The forms in which a text of the language may use a word of the facts."""
    if language == "de":
        bases = {word} | {word.removesuffix(end) for end in _ENDINGS["de"] if len(word) > len(end) + _SHORTEST}
        return {_folded(base + end) for base in bases for end in ("", *_ENDINGS["de"])}
    bases = {word}
    for end in ("s", "es", "ed", "d", "ing"):
        if word.endswith(end) and len(word) > len(end) + _SHORTEST:
            bases.add(word.removesuffix(end))
            bases.add(word.removesuffix(end) + "e")
    if word.endswith("ies"):
        bases.add(word[:-3] + "y")
    forms = set(bases)
    for base in bases:
        forms |= {*_plural(base), _joined(base, "ed"), _joined(base, "ing")}
        forms.add(base.removesuffix("e") + "y")  # "smoky", of what is smoked
        forms |= {base + base[-1] + end for end in ("ed", "ing") if base[-1] not in "aeiou"}
    return forms


def _folded(word: str) -> str:
    """Without the umlaut that a plural may have."""
    return word.replace("ae", "a").replace("oe", "o").replace("ue", "u")


@dataclass(frozen=True)
class Told:
    """What the data says of a product, for texts of one language. ``forms``: form of a word → the words of the facts.

    ``own`` are words said of the product itself, ``pairs`` those of one noun phrase in their order; ``behind`` holds
    the words behind "of", "from" and their like, ``held`` a part and the words behind it, ``denied`` the forms of what
    a clause denies, ``attested`` the kinds of `ATTESTED` that a clause affirms.
    """

    vocabulary: Vocabulary
    forms: Mapping[str, frozenset[str]]
    pairs: frozenset[tuple[str, str]]
    own: frozenset[str]
    held: frozenset[tuple[str, str]]
    behind: Mapping[str, frozenset[str]]
    denied: frozenset[str]
    attested: frozenset[str]
    brand: frozenset[str]
    labels: frozenset[str]

    def words(self, form: str) -> frozenset[str]:
        """The words of the facts whose form it is; none where it is no fact."""
        return self.forms.get(_folded(form) if self.vocabulary.language == "de" else form, frozenset())

    def denies(self, form: str) -> bool:
        """Whether the facts deny what the word names."""
        return (_folded(form) if self.vocabulary.language == "de" else form) in self.denied

    def side_by_side(self, first: str, second: str) -> bool:
        """Whether both are said of the product itself, or stand in one noun phrase of the facts, in this order."""
        both = self.words(first), self.words(second)
        return bool(both[0] & self.own and both[1] & self.own) or any(pair in self.pairs for pair in product(*both))

    def follows(self, form: str, preposition: str, holder: str) -> bool:
        """Whether the facts have the word behind the same preposition; of a part, behind that part."""
        words, holders = self.words(form), self.words(holder)
        if any(pair in self.held for pair in product(holders, words)):
            return True
        behind = (self.behind.get(one, frozenset()) for one in _ALIKE.get(preposition, (preposition,)))
        return (not holders or bool(holders & self.own)) and any(words & one for one in behind)

    def heads(self, word: str) -> bool:
        """Whether it ends a word of the product's name or category, as "Licht" does "Fahrradlicht"."""
        ends = (one.removesuffix(word) for one in self.labels if one.endswith(word))
        return len(word) > _SHORTEST and any(not rest.endswith(_NO_SUCH) for rest in ends)

    def kind(self, word: str, occasions: Iterable[str]) -> str | None:
        """In which list the word stands, "fact" if only the facts have it, None where nothing has it."""
        here = self.vocabulary
        if listed := here.kinds.get(word) or here.kinds.get(_folded(word) if here.language == "de" else word):
            return listed
        if any(word in here.occasions.get(one, ()) for one in occasions):
            return "occasion"
        if self.words(word):
            return "fact"
        if here.language != "de":
            return None
        return "fact" if self.heads(word) else self._compound(word)

    def _compound(self, word: str) -> str | None:
        """The kind of a German word that is two nouns of the lexicon, or one of them and a word of the facts.

        A thing before a word of the facts says what that is for: a "Regenmantel" is no coat of the lexicon.
        """
        kinds = self.vocabulary.kinds
        for at in range(_SHORTEST, len(word) - _SHORTEST + 1):
            second = word[at:]
            is_noun, is_fact = kinds.get(second) in _NOUNS, bool(self.words(second))
            if not is_noun and not is_fact:
                continue
            for joint in _JOINTS:
                first = word[:at].removesuffix(joint)
                if len(first) < _SHORTEST or word[:at] != first + joint:
                    continue
                listed = kinds.get(first)
                if listed == "verbs" and kinds.get(second) in ("moments", "senses"):  # "Lesezeit"
                    return kinds[second]
                if listed in _NOUNS and not (is_fact and listed == "things"):
                    return "fact" if is_fact else kinds[second]
                if is_noun and not is_fact and self.words(first):
                    return "fact"
        return None


@lru_cache(maxsize=4096)
def told(facts: Facts, language: Language) -> Told:
    """What the data of a product says, but for what in it speaks to a writer."""
    never = frozenset().union(*(vocabulary(one).own for one in LANGUAGES))
    brand = frozenset(compared(tokens(facts.brand or "")))
    pairs, held, behind = set[tuple[str, str]](), set[tuple[str, str]](), dict[str, set[str]]()
    words, denied, attested, said = set[str](), set[str](), set[str](), list[tuple[str, ...]]()
    about = [facts.name, *re.split(r"[>/]", facts.category or ""), *facts.tags]
    labels = [tuple(compared(tokens(visible(one)))) for one in about]
    described = list(_clauses(_to_buyers(facts.description or "")))
    called = {form for label in labels for word in label for form in _inflected(word, language)}
    for clause in [*labels, *described, *_attributes(facts.attributes)]:
        denies = bool(_DENIES & set(clause)) or any(pair in _FREE_OF for pair in pairwise(clause))
        found = _ATTESTED.found(clause)
        attested |= {one.kind for one in found if not denies or clause in labels or clause[one.start] in _DENIES}
        if clause not in labels and (denies or _LEAVES_OPEN & set(clause)):
            denied |= set() if _LEAVES_OPEN & set(clause) else _content(clause, never)
            continue
        said.append(clause)
        holder, inside = "", False
        of_a_part = clause in described[1:] and _starts_with_a_part(clause, called, labels, never, language)
        for preposition, whole in _noun_phrases(clause):
            inside = inside or preposition in _WITH
            inside = inside or (of_a_part and bool(preposition))
            hedged = {two for one, two in pairwise(whole) if one in _LIKE} | {
                one for one, two in pairwise(whole) if two in _LOOK
            }
            phrase = [word for word in whole if word not in hedged]
            words |= _content(phrase, never)
            pairs |= set(combinations(phrase, 2))
            if inside:
                held |= {(holder, word) for word in phrase}
            elif not of_a_part:
                behind.setdefault(preposition, set()).update(phrase)
            holder = phrase[-1] if phrase else holder
    heads = {word for label in labels[:2] for word in label}
    pairs |= {(word, head) for label in labels for word in label for head in heads}
    elsewhere = {word for clause in said for word in clause} - set(labels[0])
    words -= brand - elsewhere
    forms: dict[str, set[str]] = {}
    for word in words:
        for form in _inflected(word, language):
            forms.setdefault(form, set()).add(word)
    return Told(
        vocabulary(language),
        {form: frozenset(found) for form, found in forms.items()},
        frozenset(pairs),
        frozenset(behind.get("", ())),
        frozenset(held),
        {word: frozenset(found) for word, found in behind.items()},
        frozenset(form for word in denied for form in _inflected(word, language)),
        frozenset(attested),
        brand,
        frozenset(word for label in labels[: len(labels) - len(facts.tags)] for word in label) - never,
    )


def _content(words: Iterable[str], never: frozenset[str]) -> set[str]:
    return {word for word in words if word not in never and not _AMOUNT.fullmatch(word)}


def _noun_phrases(clause: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each noun phrase of a clause and the preposition before it; what "and" adds stands behind the same one."""
    preposition, phrase = "", list[str]()
    for word in clause:
        if word in _AND or word in PREPOSITIONS:
            yield preposition, phrase
            preposition, phrase = preposition if word in _AND else word, []
        else:
            phrase.append(word)
    yield preposition, phrase


def _starts_with_a_part(
    clause: Sequence[str],
    called: set[str],
    labels: Sequence[Sequence[str]],
    never: frozenset[str],
    language: Language,
) -> bool:
    """Whether a clause is about a part ("…, blade of steel"), and not about what the product is called."""
    (_, first), *others = _noun_phrases(clause)
    if not others or not first or first[-1] in never:
        return False
    form = _folded(first[-1]) if language == "de" else first[-1]
    return form not in called and not any(_folded(label).endswith(form) for one in labels for label in one)


def _to_buyers(description: str) -> str:
    """A description up to the sentence in which it first speaks to a writer."""
    if not (match := _TO_A_WRITER.search(description)):
        return description
    return description[: max(description.rfind(end, 0, match.start()) for end in ".!?\n") + 1]


def _clauses(words: str) -> Iterator[tuple[str, ...]]:
    return (tuple(compared(tokens(clause))) for clause in _CLAUSE.split(visible(words)) if clause.strip())


def _attributes(raw: str | None) -> Iterator[tuple[str, ...]]:
    """Each attribute as a clause that says it: "of cotton", "from Assam", "no vegan"."""
    try:
        found = json.loads(raw or "{}")
    except (ValueError, RecursionError):
        return
    for name, value in found.items() if isinstance(found, dict) else ():
        key = tuple(compared(tokens(name.replace("_", " "))))
        if value is True:
            yield key
        elif value is False or value is None:
            yield ("no", *key)
        elif isinstance(value, str):
            for clause in _clauses(value):
                yield ("no", *key) if clause in (("no",), ("nein",), ("false",)) else clause
                for word in ("of", "aus") if _MATERIAL & set(key) else ("from", "aus") if _ORIGIN & set(key) else ():
                    yield (word, *clause)
