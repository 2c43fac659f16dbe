"""Who may: bearer tokens with scopes. What a process compares with is SHA-256 of them, reread within a second.

``profiles`` is one person's profile, ``listings`` many people or settings, ``writes`` opt-out, opt-in and erasure.
"""

import hmac
from datetime import UTC, datetime
from hashlib import sha256

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection, Request

from recsys_assets.serving.api import Api
from recsys_assets.serving.pointer import Token
from recsys_assets.serving.problems import ProblemError

_CHALLENGE = 'Bearer realm="recsys"'


class Require(SecurityBase):
    """A dependency of a route: the request has a token with the scope. The OpenAPI document says so, too."""

    def __init__(self, api: Api, scope: str) -> None:
        self._api, self.scope = api, scope
        self.scheme_name = "token"
        self.model = HTTPBearer(description="What `recsys token make` prints; each route says which scope it needs.")

    def __call__(self, request: Request) -> None:
        """Nothing, where the request may.

        Raises:
            ProblemError: 401 without a token that is known, 403 with one that has not the scope, 503 where the tokens
                of now are not known.
        """
        if not self._api.state.tokens_known:
            why = "Postgres, which knows the tokens, has not answered for some seconds."
            raise ProblemError(503, "Tokens not known", why)
        found = token_of(self._api, request)
        if found is None:
            raise _refused(401, "No token", "This needs a token that is known and has not expired.", "")
        if self.scope not in found.scopes:
            said = f"This needs a token with the scope {self.scope}."
            raise _refused(403, "Wrong scope", said, f', error="insufficient_scope", scope="{self.scope}"')


def require(api: Api, scope: str) -> Require:
    """For ``Depends``: refuses a request without a token that has the scope."""
    return Require(api, scope)


def may(api: Api, request: HTTPConnection, scope: str) -> bool:
    """Whether a request has a token with the scope; not while it may have been revoked unseen."""
    found = token_of(api, request)
    return api.state.tokens_known and found is not None and scope in found.scopes


def token_of(api: Api, request: HTTPConnection) -> Token | None:
    """The token that a request came with; None where it has none, or one that is unknown or has expired."""
    told = request.headers.getlist("authorization")
    scheme, _, given = told[0].partition(" ") if len(told) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        return None
    hashed = sha256(given.strip().encode("latin-1")).digest()
    found = None
    for token in api.state.tokens:  # all of them: how long it takes must not say how near a guess was
        if hmac.compare_digest(token.hash, hashed):
            found = token
    return found if found is not None and found.expires_at > datetime.now(UTC) else None


def _refused(status: int, title: str, detail: str, more: str) -> ProblemError:
    made = ProblemError(status, title, detail)
    made.headers = {"WWW-Authenticate": _CHALLENGE + more}
    return made
