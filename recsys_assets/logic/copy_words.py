"""How the words of a text are compared and phrases found among them, and the words that say an amount or a language.

A phrase is words with a space between them, where ``heal*`` stands for any word that begins so, ``*garantie`` for any
that ends so (from four letters up), and ``…`` for up to four words of any kind. Case, accents and hyphens do not count:
"Öko-Strom" is found by "öko". `logic.copy_claims` lists what no text may claim in such phrases.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


_NUMBERS = (
    "zwei drei vier fuenf sechs sieben acht neun zehn elf zwoelf zwanzig dreissig vierzig fuenfzig sechzig siebzig"
)
_TAILS = (
    "er erpack* erset* teilig* lagig* fach* mal hundert* tausend* zehn* zig und* stuendig* jaehrig* taegig* koepfig*"
)
_TAILS += " stufig* monatig* minuetig* lagen* eckig* tuerig* gaengig* prozentig* millionen einhalb* schichtig*"
_UNITS = (
    "gallon pint litre liter kilo gram ounce euro dollar pound cent percent degree hour minute week month year third"
)
# By kind, as phrases of `Lexicon`. "One", "ein" are articles and no amounts but before a unit.
OWN_KINDS: Mapping[str, str] = {
    "number": """
        two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen,
        seventeen, eighteen, nineteen, twent*, thirt*, forty, fift*, sixt*, sevent*, eight*, ninet*, hundred*,
        thousand*, million*, billion*, dozen*, third, thirds, fourth, fifth, quarter, quarters, double the, double
        your, double points, doubles, doubled, triple*, quadruple*, twice, thrice, twofold, threefold, fourfold,
        tenfold, zero, half the, half a, half an, half of, half as, half your, half my, by half, in half, half full,
        half empty, couple of, a pair of, one and only one, number one, one in every, one out of, three quarters,
        umpteen, score of, sixpack, single unit, ii, iii, iv, vi, vii, viii, ix, xi, xii, xiii, xiv, xv, xx, xxx,
        eins, einund*, halb, halbe, halben, halber, halbes, haelfte, drittel*, viertel*, fuenftel*, achtel*, zehntel*,
        doppelt, doppelte*, dreimal, achtzig*, neunzig*, hundert*, tausend*, milliarde*, dutzend*, null, zweit*teil,
        einhundert*, eintausend*, anderthalb*, eineinhalb*, ein paar mal, zwo, vierzehn, fuenfzehn, sechzehn,
        siebzehn, achtzehn, neunzehn, dreizehn, nummer eins, ein halbes, zu zweit, ein pfund, doppelpack*, twin pack*,
        double pack*, six pack*, zu dritt, zu viert, deux, trois, dos, tres, uno, due, dwa, trzy
    """,
    "price": """
        euro*, dollar*, pounds, quid, buck, bucks, cent, cents, pence, penny, pennies, fiver, tenner, yen, eur, usd,
        gbp, chf, franken, rappen, zehner, zwanziger, fuenfziger, hunderter, maeuse inklusive, price tag of, kroner,
        zloty
    """,
    "percent": """
        percent*, per cent, pct, prozent*, *prozentig, *prozentige, *prozent, half price, half off, halber preis,
        halben preis, quarter off, third off, zum halben
    """,
    "url": """
        dot com, dot org, dot net, dot shop, punkt de, punkt com, http*, https, www, hashtag*, whatsapp, telegram,
        instagram, tiktok, facebook, youtube, twitter, snapchat, linkedin, pinterest, qr code, scan the code, call us,
        phone us, text us, email*, e mail*, message us, dm us, follow us, ruf uns an, ruf an, rufen sie an, rufen sie
        uns an, schreib uns, schreiben sie uns, folge uns, folgen sie uns, website, webseite, homepage, link in,
        hotline, telefonnummer, phone number, our newsletter, den newsletter, visit our, besuche unsere
    """,
    "instruction": """
        ignore … instruct*, ignore all, ignore previous, ignore the, disregard*, previous instructions, the
        instructions, as an ai, as a language, language model*, as a model, ai model, prompt, prompts, the above,
        rules above, here are the, chatbot*, as an assistant, ai assistant, click here, click the, click below, tap
        here, you must, here is your, here is the, here you go, of course here, i cannot, i can't, i am unable, i'm
        unable, i'm sorry, i am sorry, i apologize, i think, i would recommend, i recommend, as requested, headline
        here, insert, placeholder*, lorem ipsum, your headline, this headline, the headline, call to action, json,
        call_to_action, character limit, word count, the catalogue, system message, developer mode, jailbreak*, gpt,
        chatgpt, openai, anthropic, copywriter*, training data, as instructed, output, tool call, hope this helps, per
        my, my instructions, sprach ki, eine ki, ich finde, ich hoffe das hilft, let me know, draft, suggested, begin
        text, end of text, ignoriere*, ignorier, missachte*, anweisung*, vergiss alle*, als ki, ki modell*,
        sprachmodell*, als assistent*, systemnachricht*, hier klicken, klick hier, klicke hier, klicken sie hier,
        klick auf, klicken sie auf, du musst, sie muessen, hier ist deine, hier ist ihre, hier ist die, gerne hier,
        natuerlich hier, ich kann, tut mir leid, es tut mir leid, ich empfehle, empfehle ich, als sprachmodell*,
        ueberschrift, platzhalter*, zeichenbegrenzung, laut prompt, wie gewuenscht, handlungsaufforderung, der
        katalog, werbetext*, textvorschlag*
    """,
}
# Words that say which language it is; what other languages share with these two is left out of theirs.
_LANGUAGES: Mapping[str, str] = {
    "en": """
        the a an and or pro but of to for from with without by at on in into onto under over as is are was were be
        been it its this that these those there here you your yours we our they them their he she his her i me my who
        what when where why how not no nor so if than then too very just only once again also still yet even never
        always every each all any some more most much many few little less another other one have has had do does did
        can could may might must should will would let get gets got give gives take takes make makes made go goes come
        comes see look try buy add open pour wrap start keep keeps need needs want like love enjoy discover meet find
        bring brings put call read play build listen brew cook step now today tonight up down out off back away about
        after before until while through between around something somebody someone anything nothing everything day
        night morning evening home time way good new old small big long soft warm light dark fresh quiet plain slow
        simple easy ready great hand hands shop basket gift restock reorder order sorted table room things friend
        friends
    """,
    "de": """
        der die das den dem des ein eine einen einem einer eines und oder aber von vom zu zum zur für fuer mit ohne
        bei beim an am auf in im ins ist sind war wird werden hat haben er sie es ihr ihre ihren ihrem dein deine
        deinen deinem du dir dich wir uns unser unsere man sich nicht kein keine keinen nur auch noch schon wieder so
        wie als wenn dann da dort hier was wer wo warum jetzt heute gerade mehr viel viele wenig alles alle jeder jede
        jedes jeden etwas jemand jemanden kann darf mag will muss soll gibt geht kommt macht passt nach vor über ueber
        unter zwischen durch gegen um bis seit aus ob weil damit sehr ganz gern gerne gut gute guten guter neu neue
        neuen lang lange klein kleine kleiner ansehen entdecken kaufen probieren bestellen nachkaufen nachbestellen
        verschenken vielleicht statt also je pro fürs fuers zeit immer nie mal bitte sonst zuhause tag abend morgen
        nacht geschenk kennt hast bleibt schmeckt duftet liegt wartet fehlt zeigen aufs weiterlesen reinlesen
        reinhören lesen erneut anziehen weich warm würzig
    """,
    "fr": """
        le les des du une est et avec pour dans sur vous votre vos nous notre ce cette ces qui que il elle pas très
        plus sont découvrez découvrir acheter maintenant lire voir aux au
    """,
    "es": """
        el las una unos para con por tu tus su sus es que más muy del este esta descubre descubrir comprar ahora y
        disfruta tranquila
    """,
    "it": """
        il lo gli una con della delle dei che di è più tuo tua questo questa scopri ora compra sempre
    """,
    "nl": """
        het een voor van met jouw niet deze dit zijn bij ook naar bekijk ontdek nu koop hoe wij onze
    """,
    "pl": """dla się jest twój twoja twojej teraz odkryj oraz który nie kup""",
    "pt": """para com não você uma seu sua agora mais em do os""",
    "sv": """och för med din ett är till av nu köp det som att på en hemmet""",
    "da": """og til med din det er af nu køb en på""",
    "tr": """ve için bir bu şimdi""",
    "cs": """jsou váš teď""",
}
# English words with a capital of their own, which are no name of anybody.
CAPITALS = frozenset(
    """
    i i'm i'll i'd i've monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december christmas easter halloween hanukkah eid diwali ramadan
    thanksgiving valentine valentines mother mothers father fathers new year years eve english british scottish welsh
    irish french german italian spanish greek swiss dutch danish swedish nordic scandinavian european mediterranean
    american mexican indian thai chinese japanese korean asian african tv diy bbq pc ok dj uk eu usb led lcd wifi x dad
    mum mom grandma grandpa granny santa
    """.split()  # noqa: SIM905  a list of a hundred literals is no easier to read
)
# Words of brands that are as much words of a text ("Simple Truth", "Fresh Farm").
GENERIC = frozenset(
    """
    always best better boss choice classic clear collection comfort corner cottage cream daily dark dream easy
    essential essentials every everyday family farm farms fine first fit food foods fresh friends garden gold golden
    good green happy harbour healthy home house joy juice just kids kitchen lane life light like little living love
    magic market meadow milk mind modern moment more mountain natural nature new next now only open organic original
    plain play power premium private pure quality ready real river select selection shop signature silver simple
    simply smart soft special star store style sun sunny sweet table taste tea time today top treat true truth up
    value vita water way white wild wonder world young your frisch genuss glück gut gute haus heimat immer klar land
    leben liebe natur rein sonne welt
    """.split()  # noqa: SIM905  a list of a hundred literals is no easier to read
)


def _own_phrases() -> Iterator[tuple[str, str]]:
    for kind, listed in OWN_KINDS.items():
        yield from ((kind, " ".join(phrase.split())) for phrase in listed.split(","))
    yield from (("number", number + tail) for number in _NUMBERS.split() for tail in ("", *_TAILS.split()))
    yield from (("number", f"{one} {unit}") for unit in _UNITS.split() for one in ("one", "a single", "ein", "einen"))


# (kind, phrase) of everything in `OWN_KINDS`, and numbers in all their German compounds.
OWN_PHRASES = tuple(_own_phrases())
# By language, number words that mean something else in it, as English "elf" and German "half" do.
NO_NUMBERS = {"en": frozenset({"elf", "halb", "null", "acht", "due", "dos"}), "de": frozenset({"half"})}
# Word → the languages that it says.
SPOKEN: dict[str, frozenset[str]] = {}
for _language, _listed in _LANGUAGES.items():
    for _word in compared(_listed.split()):
        SPOKEN[_word] = SPOKEN.get(_word, frozenset()) | {_language}
