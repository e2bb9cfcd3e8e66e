"""The token that Ray's clusters ask for, from where Ray's own clients take it."""

import os
from pathlib import Path

import requests

from jobs.errors import InputError

UNAUTHORIZED, FORBIDDEN = 401, 403
REMEDY = "put the one that `ray get-auth-token` prints on the head into ~/.ray/auth_token or RAY_AUTH_TOKEN"


class Token(requests.auth.AuthBase):
    """Puts the token, where there is one, into requests."""

    def __init__(self) -> None:
        self._token, self._place = _find_token()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def refused(self, status: int, url: str) -> str:
        """The sentence for an answer that asks for another token."""
        if self._token and status == FORBIDDEN:
            return f"The cluster at {url} refuses the token of {self._place}: {REMEDY}."
        return f"The cluster at {url} asks for a token, and there is none here: {REMEDY}."


def _find_token() -> tuple[str, str]:
    """The token and where it stands; both empty if there is none.

    Raises:
        InputError: what stands there is none, or can't be read.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return "", ""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    token, place = os.environ.get("RAY_AUTH_TOKEN", ""), "RAY_AUTH_TOKEN"
    if not token:
        if not named and not path.exists():
            return "", ""
        place = "RAY_AUTH_TOKEN_PATH" if named else "~/.ray/auth_token"
        try:
            token = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"The token's file {path} can't be read: {reason}.") from error
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise InputError(f"{place} holds no token: put in what `ray get-auth-token` prints on the head.")
    return token, place
