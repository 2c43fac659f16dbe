"""Where alerts go: a webhook, and a mail server."""

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import partial
from http.client import HTTPException
from urllib.parse import unquote, urlsplit

from recsys_assets.errors import StoreError
from recsys_assets.logic.alerts import Alert
from recsys_assets.settings import Settings

SECONDS = 10.0
_PORTS = {"smtp": 587, "smtps": 465}


def ways(settings: Settings) -> Mapping[str, Callable[[Alert], None]]:
    """Every way that the settings give, by name. Each raises StoreError where the alert is not taken."""
    found: dict[str, Callable[[Alert], None]] = {}
    if settings.alert_webhook:
        found["webhook"] = partial(_post, settings.alert_webhook)
    if settings.alert_email:
        found["email"] = partial(_mail, settings.smtp_url, settings.alert_email.split(","))
    return found


def _post(url: str, alert: Alert) -> None:
    body = json.dumps(alert.payload()).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "recsys"})  # noqa: S310  the setting takes http and https only
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            answer.read()
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
