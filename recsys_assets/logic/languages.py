"""Whose words: the language that a person reads, of those that texts are made in."""

from collections.abc import Sequence


def language_of(locale: str | None, languages: Sequence[str]) -> str:
    """The language of a locale where it is one of ``languages``, else the first of them.

    >>> language_of("de-AT", ("en", "de")), language_of("fr_FR", ("en", "de")), language_of(None, ("de",))
    ('de', 'en', 'de')
    """
    spoken = (locale or "").replace("_", "-").partition("-")[0].lower()
    return spoken if spoken in languages else languages[0]
