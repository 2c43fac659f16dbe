"""Log lines of a long-running process: ``key=value`` text or JSON, to stderr, ours and the libraries' alike.

No line holds an id, a query string or a password. Ours never take one; of a library's line, credentials in URLs and
everything after a ``?`` go; of an error, the type and where it was raised stay, and its message, which may quote
anything, goes.
"""

import logging
import re
import sys
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from recsys_assets.settings import Settings

_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")
_QUERY = re.compile(r"\?[^\s'\"]+")
_LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.asgi")


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is when a line comes, which tests and supervisors change."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


def configure(settings: Settings) -> None:
    """Sends every line of this process through one form, from RECSYS_LOG_LEVEL on."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _error_only_by_type,
        _without_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    form: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], sort_keys=True)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, form],
    )
    handler = _Stderr()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Stderr)] + [handler]
    root.setLevel(settings.log_level.upper())
    for name in _LIBRARIES:  # uvicorn has brought handlers of its own by now
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(logging.NOTSET)


def _error_only_by_type(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    info: ExcInfo | bool | BaseException | None = event.pop("exc_info", None)
    if isinstance(info, BaseException):
        error: BaseException | None = info
    elif isinstance(info, tuple):
        error = info[1]
    else:
        error = sys.exc_info()[1] if info else None
    if error is not None:
        event["error"] = type(error).__name__
        event["at"] = where(error.__traceback__)
    return event


def where(traceback: TracebackType | None) -> list[str]:
    """The last frames: file, line and function."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames[-5:]


def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: object) -> object:
    if isinstance(value, str):
        # A traceback that a library has put into its text quotes the error's message.
        return _QUERY.sub("", _CREDENTIALS.sub("", value.partition("Traceback (most recent call last)")[0]))
    return value
