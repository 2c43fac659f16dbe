"""What a catalogue says, made fit to be shown: names on one line, addresses that lead to web pages."""

import re
from urllib.parse import urlsplit

# Line ends, and what XML forbids.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


def one_line(text: str | None) -> str | None:
    """Text without control characters: a name must not break out of its line, or of the XML that MJML is."""
    return _CONTROL.sub(" ", text).strip() if text is not None else None


def web_link(url: str | None) -> str | None:
    """The address where it leads to a web page; a catalogue must not put ``javascript:`` into an inbox."""
    if not url or _CONTROL.search(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


# What a spreadsheet takes for a formula; apostrophes before it were put there, or have to be told from those that were.
FORMULA = r"^'*[=+\-@\t\r]"


def without_formula(text: str) -> str:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it; any other as it is.

    Taking one apostrophe away wherever `FORMULA` matches gives back what there was.

    >>> without_formula("=1+1"), without_formula("'=1+1"), without_formula("1-1"), without_formula("'tis")
    ("'=1+1", "''=1+1", '1-1', "'tis")
    """
    return f"'{text}" if re.match(FORMULA, text) else text
