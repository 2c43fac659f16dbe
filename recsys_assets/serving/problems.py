"""Problem details (RFC 9457): every answer that is no success."""

from typing import Any

from fastapi.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request is answered with a problem; ``more`` are extension members, such as ``parameter`` or ``field``."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more
        self.headers: dict[str, str] = {}

    def response(self) -> JSONResponse:
        """The answer."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, **self.more}
        return JSONResponse(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


class BadParameterError(ProblemError):
    """A parameter of the query or the path is refused; ``parameter`` names it."""

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(400, "Invalid parameter", f"{parameter} {why}", parameter=parameter)
        self.parameter = parameter


def nothing_published() -> ProblemError:
    """503: before the first generation."""
    return ProblemError(503, "Nothing published", "There is no generation yet.")
