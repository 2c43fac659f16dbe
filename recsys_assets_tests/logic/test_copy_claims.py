import pytest

from recsys_assets.logic.copy_claims import ATTESTED, CLAIMS, claim_phrases
from recsys_assets.logic.copy_facts import LANGUAGES
from recsys_assets.logic.copy_words import Lexicon, compared, tokens, visible


def kinds(words: str, more: tuple[str, ...] = (), allowed: tuple[str, ...] = ()) -> set[str]:
    found = Lexicon.of(claim_phrases(more, allowed)).found(compared(tokens(visible(words))))
    excused = [(one.start, one.end) for one in found if one.kind == "allowed"]
    return {
        one.kind
        for one in found
        if one.kind != "allowed" and not any(start <= one.start and one.end <= end for start, end in excused)
    }


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("It heals", "health"),
        ("HEALING hands", "health"),
        ("he\N{SOFT HYPHEN}als", "health"),
        ("he\N{ZERO WIDTH SPACE}als", "health"),
        ("héáls", "health"),
        ("lindert Kopfschmerzen", "health"),
        ("hilft gegen Müdigkeit", "health"),
        ("Only a very few pieces left", "scarcity"),
        ("Nur noch heute", "scarcity"),
        ("Don’t miss it", "scarcity"),  # a typographic apostrophe
        ("guaranteed", "guarantee"),
        ("Zufriedenheitsgarantie", "guarantee"),  # a compound
        ("the world’s best", "superlative"),
        ("second to none", "superlative"),
        ("Der beste Tee", "superlative"),
        ("Cheapest tea", "bargain"),
        ("zum Tiefstpreis", "bargain"),
        ("for free", "free"),
        ("Kostenlos dazu", "free"),
        ("Eco-friendly", "environment"),
        ("umweltfreundlich", "environment"),
        ("delivered tomorrow", "delivery"),
        ("Testsieger", "endorsement"),
        ("Our best-seller", "endorsement"),
        ("non-toxic", "safety"),
        ("we noticed you", "personal"),
        ("now on sale", "discount"),
        ("Bio-Qualität", "organic"),
        ("Gluten-free", "gluten-free"),
        ("fair-trade", "fair-trade"),
    ],
)
def test_a_claim_is_found_by_its_kind(words: str, kind: str) -> None:
    assert kind in kinds(words)


@pytest.mark.parametrize(
    "words",
    [
        "a must-have",
        "it may delight",
        "Verschenken",
        "ein leichter Wein",
        "hands-free",
        "delivers a deep roast",
        "Spargel und Sparschäler",
        "klimpern",
        "biografie",
    ],
)
def test_what_only_looks_like_a_claim_is_none(words: str) -> None:
    assert kinds(words) == set()


def test_a_shop_adds_phrases_and_stars_mean_any_ending() -> None:
    assert kinds("A cosy glow", more=("cosy",)) == {"shop"}
    assert kinds("Hygge zuhause", more=("hygg*",)) == {"shop"}
    assert kinds("As soft as a cloud", more=("soft … cloud",)) == {"shop"}
    assert kinds("Cosily", more=("cosy",)) == set()


def test_a_shop_allows_kinds_or_phrases() -> None:
    assert kinds("Hurry, only a few left") == {"scarcity"}
    assert kinds("Hurry, only a few left", allowed=("scarcity",)) == set()
    assert kinds("Hurry, only a few left", allowed=("hurry*",)) == {"scarcity"}  # the other one still counts
    assert kinds("Free delivery", allowed=("free delivery",)) == set()
    assert kinds("Free tea", allowed=("free delivery",)) == {"free"}
    assert kinds("Organic and vegan", allowed=("attested",)) == set()
    assert kinds("Organic and vegan", allowed=("organic",)) == {"vegan"}
    assert kinds("sugar-free", allowed=("sugar-free",)) == set()


def test_an_empty_phrase_refuses_nothing() -> None:
    assert kinds("Anything", more=("", " ", "*")) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_phrases_in_every_language(language: str) -> None:
    assert all(by_language[language] for by_language in CLAIMS.values())  # type: ignore[index]


@pytest.mark.parametrize("phrase", sorted({one for ones in CLAIMS.values() for each in ones.values() for one in each}))
def test_every_phrase_finds_itself(phrase: str) -> None:
    said = phrase.replace("*", "").replace("…", "so")
    assert Lexicon.of([("kind", phrase)]).found(compared(tokens(said)))


def test_no_phrase_is_empty_and_no_kind_is_listed_twice() -> None:
    assert not set(CLAIMS) & set(ATTESTED)
    assert all(phrase for phrases in ATTESTED.values() for phrase in phrases)
