"""Where alerts go: a webhook, and a mail server; and what is known of those that did not arrive."""

import json
import smtplib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from recsys_assets.errors import StoreError
from recsys_assets.logic.alerts import Alert
from recsys_assets.scratch import write_private
from recsys_assets.settings import Settings

SECONDS = 10.0  # of one connect, read or write
ALL_SECONDS = 20.0  # of one alert over one way, however slowly the other side answers
ANSWER_BYTES = 65_536  # of what a webhook says; nobody reads it
_NOTE = "alerts.json"
_LONGEST = 200  # characters of what a server says
KEPT = 20  # lost alerts that are told
_PORTS = {"smtp": 587, "smtps": 465}


def ways(settings: Settings) -> Mapping[str, Callable[[Alert], None]]:
    """Every way that the settings give, by name. Each raises StoreError where the alert is not taken."""
    found: dict[str, Callable[[Alert], None]] = {}
    if settings.alert_webhook:
        found["webhook"] = partial(_in_time, "RECSYS_ALERT_WEBHOOK", partial(_post, settings.alert_webhook))
    if settings.alert_email:
        mail = partial(_mail, settings.smtp_url, settings.alert_email.split(","))
        found["email"] = partial(_in_time, "RECSYS_SMTP_URL", mail)
    return found


_slow: dict[str, threading.Thread] = {}


def _in_time(setting: str, send: Callable[[Alert], None], alert: Alert) -> None:
    """Sends within `ALL_SECONDS`: a server that answers a byte at a time keeps every single timeout.

    Whatever goes wrong is a StoreError of one line: it is told at a terminal, and the answer may be anybody's.
    """
    if (before := _slow.get(setting)) and before.is_alive():
        raise StoreError(f"{setting}: the server has not yet answered an earlier alert")
    failed: list[Exception] = []

    def work() -> None:
        try:
            send(alert)
        except Exception as error:
            failed.append(error)

    thread = _slow[setting] = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(ALL_SECONDS)
    if thread.is_alive():
        raise StoreError(f"{setting}: the server has not answered within {ALL_SECONDS:.0f} s")
    if failed:
        # The words of an error that is not ours may quote the address, which may be a secret.
        known = isinstance(failed[0], StoreError)
        raise StoreError(_line(str(failed[0])) if known else f"{setting} cannot be used ({type(failed[0]).__name__})")


def _line(text: str) -> str:
    r"""The text on one line, without what steers a terminal.

    >>> _line("no\n\x1b[2Jway")
    'no [2Jway'
    """
    plain = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + " …"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect turns a POST into a GET of a page, whose 200 would count as delivered."""

    def redirect_request(self, *_: object) -> None:
        """It is not followed, and so is an error."""


def _post(url: str, alert: Alert) -> None:
    body = json.dumps(alert.payload()).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "recsys"})  # noqa: S310  the setting takes http and https only
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=SECONDS) as answer:
            answer.read(ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            raise StoreError(f"RECSYS_ALERT_WEBHOOK: the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise StoreError(f"RECSYS_ALERT_WEBHOOK: the server does not answer ({reason})") from None


def _mail(url: str, to: list[str], alert: Alert) -> None:
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    message = EmailMessage()
    message["Subject"] = alert.title.replace("\r", " ").replace("\n", " ")
    message["From"] = user if "@" in user else to[0]
    message["To"] = ", ".join(to)
    message.set_content(alert.text())
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=SECONDS)
        with server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            elif parts.scheme == "smtp" and password and host not in ("localhost", "127.0.0.1", "::1"):
                raise StoreError("RECSYS_SMTP_URL: the server takes no TLS, and a password does not go without it")
            if user and password:
                server.login(user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"RECSYS_SMTP_URL: the mail is not taken ({said})") from None


def note_undelivered(home: Path, problem: str | None, lost: Sequence[str], now: datetime) -> None:
    """Writes down for `recsys status` why an alert waits (None: none does), and which were ``lost`` now."""
    before = undelivered(home)
    since = (before["since"] if before["problem"] else "") or now.isoformat()
    kept = [*before["lost"], *({"at": now.isoformat(), "what": what} for what in lost)][-KEPT:]
    told = {"problem": problem or "", "since": since if problem else "", "lost": kept}
    if told != before:
        write_private(home / _NOTE, json.dumps(told, indent=1))


def undelivered(home: Path) -> Mapping[str, Any]:
    """``problem`` of an alert that waits, ``since`` when, and the last ones ``lost``, each ``at`` and ``what``."""
    try:
        told = json.loads((home / _NOTE).read_text())
        return {name: told[name] for name in ("problem", "since", "lost")}
    except (OSError, ValueError, TypeError, KeyError):
        return {"problem": "", "since": "", "lost": []}
