"""Who is signed in: a signed cookie that nobody can make, and tokens that show a form came from our own page.

Law: a cookie is worth nothing after its expiry, after the password has changed, or with the account gone.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.common.database import from_microseconds, to_microseconds
from services.notifier.rulebook.people import Account

LASTS = timedelta(hours=10)
"""One shift with its hand-over; then the password is asked for again."""

SESSION_COOKIE, FORM_COOKIE = "worklist", "worklist_form"


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in. `csrf` goes into every form; `session_id` is what a sign-out writes down."""

    account: Account
    session_id: str
    csrf: str = field(repr=False)

    @property
    def may_decide(self) -> bool:
        """Whether acknowledging, closing and confirming are theirs to do."""
        return "mdt" in self.account.access


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and reads cookies with a key of its own, derived from the site's key."""

    site_key: bytes = field(repr=False)

    def _mac(self, *parts: str) -> str:
        text = "\x1f".join(("worklist", *parts))
        return hmac.digest(self.site_key, text.encode(), "sha256").hex()

    def form_token(self, cookie: str) -> str:
        """Return the token that a form sent with this cookie must carry."""
        return self._mac("form", cookie)

    def is_form_token(self, cookie: str, token: str) -> bool:
        """Tell whether a form came from a page of ours, shown to the holder of this cookie."""
        return bool(cookie) and hmac.compare_digest(self.form_token(cookie).encode(), token.encode())

    def cookie(self, account: Account, now: datetime) -> str:
        """Return the cookie of somebody who has just signed in."""
        body = {"p": account.person_id, "e": to_microseconds(now + LASTS), "n": secrets.token_hex(8)}
        text = base64.urlsafe_b64encode(json.dumps(body).encode()).decode()
        return f"{text}.{self._mac('session', text, account.password_hash)}"

    def read(self, cookie: str, accounts: Mapping[str, Account], now: datetime) -> Session | None:
        """Return the session of a cookie that still holds, unless its holder has signed out, which the store knows."""
        text, _, mac = cookie.partition(".")
        try:
            body = json.loads(base64.urlsafe_b64decode(text.encode()))
            account, expires_at = accounts.get(body["p"]), from_microseconds(body["e"])
            session_id = str(body["n"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        if account is None or now >= expires_at:
            return None
        if not hmac.compare_digest(mac.encode(), self._mac("session", text, account.password_hash).encode()):
            return None
        return Session(account, session_id, self.form_token(cookie))
