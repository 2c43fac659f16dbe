"""Which sites' pages may read the API from a browser."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from recsys_assets.serving.problems import ProblemError


class Cors(CORSMiddleware):
    """Pages may GET. What needs a token is for a shop's servers: a token in a page is everybody's."""

    def __init__(self, app: ASGIApp, origins: str) -> None:
        super().__init__(
            app,
            allow_origins=origins.split(","),
            allow_methods=["GET"],
            allow_headers=["If-None-Match", "X-Request-Id"],
            expose_headers=["ETag", "Retry-After", "X-Request-Id"],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser asks first; a no is a problem like any other."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        refused = ProblemError(answer.status_code, "Not for this site", bytes(answer.body).decode()).response()
        refused.headers["Vary"] = answer.headers["Vary"]
        return refused
