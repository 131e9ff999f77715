"""Who may see a page and send a form: sessions, form tokens, size of what is sent."""

from typing import Annotated

from fastapi import Form, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.database import reading
from services.notifier.store.acts import is_signed_out
from services.notifier.web.desk import Desk
from services.notifier.web.pages import HEADERS, SECURE_HEADERS
from services.notifier.web.session import SESSION_COOKIE, Session

FORM_BYTES = 16_384


class NotSignedIn(Exception):
    """The page needs a session; people are sent to the sign-in."""


class NotAllowed(Exception):
    """The person is signed in and may not do this."""


class ForeignForm(Exception):
    """The form was not shown by us to this person, or the session has changed since."""


class Guard:
    """The dependencies that pages declare."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def session(self, request: Request) -> Session | None:
        """Return who is signed in, if anybody."""
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if not cookie:
            return None
        session = self._desk.signer.read(cookie, self._desk.site().directory.accounts, self._desk.now())
        if session is None:
            return None
        with reading(self._desk.engine) as db:
            return None if is_signed_out(db, session.account.person_id, session.session_id) else session

    def signed_in(self, request: Request) -> Session:
        """Return who is signed in. Raises NotSignedIn."""
        session = self.session(request)
        if session is None:
            raise NotSignedIn
        return session

    def deciding(self, request: Request, csrf: Annotated[str, Form(max_length=200)] = "") -> Session:
        """Return who sends this form. Raises NotSignedIn, ForeignForm and NotAllowed."""
        session = self.signed_in(request)
        if not self._desk.signer.is_form_token(request.cookies[SESSION_COOKIE], csrf):
            raise ForeignForm
        if not session.may_decide:
            raise NotAllowed
        return session


class SafeAnswers:
    """Puts the safety headers on every answer and refuses large or endless forms."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        headers = SECURE_HEADERS if secure else HEADERS
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in self._headers if name not in present),
                ]
            await send(message)

        if scope["method"] == "POST" and not _is_small(scope):
            await send_safely({"type": "http.response.start", "status": 413, "headers": [(b"connection", b"close")]})
            await send_safely({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send_safely)


def _is_small(scope: Scope) -> bool:
    """A body says its length first; one that is sent in pieces could be endless."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" not in headers and length.isdigit() and int(length) <= FORM_BYTES
