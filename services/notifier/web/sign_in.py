"""Sign in and out with a local account."""

import re
import secrets
from datetime import datetime, timedelta
from math import ceil
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.notifier.rulebook.people import Account
from services.notifier.store.acts import SIGNED_OUT
from services.notifier.web.desk import Desk
from services.notifier.web.guard import ForeignForm, Guard
from services.notifier.web.limiter import Limiter
from services.notifier.web.pages import Pages
from services.notifier.web.passwords import NOBODY, is_right
from services.notifier.web.session import FORM_COOKIE, LASTS, SESSION_COOKIE

OWN_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9/_.?=&%-]*")
FREE_BY_PERSON_AND_ADDRESS, FREE_BY_PERSON, FREE_BY_ADDRESS = 5, 30, 30

log = structlog.get_logger("worklist")


def own_path(path: str) -> str:
    """Return a path of these pages; anything else becomes the worklist."""
    return path if OWN_PATH.fullmatch(path) else "/"


class Gate:
    """Decides whether somebody may sign in; every attempt counts until it succeeds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pair, self._person = Limiter(FREE_BY_PERSON_AND_ADDRESS), Limiter(FREE_BY_PERSON)
        self._address = Limiter(FREE_BY_ADDRESS)

    def _limits(self, person_id: str, address: str) -> tuple[tuple[Limiter, str], ...]:
        return (
            (self._pair, f"{person_id}\x1f{address}"),
            (self._person, person_id),
            (self._address, address),
        )

    def wait(self, person_id: str, address: str, now: datetime) -> timedelta:
        """Return how long to wait before the next attempt."""
        return max(limiter.wait(name, now) for limiter, name in self._limits(person_id, address))

    def account(self, person_id: str, password: str, address: str, now: datetime) -> Account | None:
        """Return the account if the password is right; an unknown person takes as long as a wrong password."""
        limits = self._limits(person_id, address)
        for limiter, name in limits:
            limiter.failed(name, now)
        account = self._desk.site().directory.accounts.get(person_id)
        if not is_right(account.password_hash if account else NOBODY, password) or account is None:
            return None
        for limiter, name in limits:
            limiter.succeeded(name)
        return account


def sign_in_routes(desk: Desk, pages: Pages, guard: Guard) -> APIRouter:
    """Return the routes of the sign-in page."""
    router, gate = APIRouter(), Gate(desk)

    def form(
        request: Request, *, status: int = 200, fault: str | None = None, then: str, wait: int = 0
    ) -> HTMLResponse:
        cookie = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        csrf = desk.signer.form_token(cookie)
        page = pages.show(request, "sign_in.html", status=status, fault=fault, then=then, csrf=csrf, wait=wait)
        page.set_cookie(FORM_COOKIE, cookie, httponly=True, samesite="lax", secure=desk.secure_cookies)
        return page

    @router.get("/sign-in")
    def show(request: Request, then: str = "/") -> HTMLResponse:
        return form(request, then=own_path(then))

    @router.post("/sign-in")
    def sign_in(
        request: Request,
        person: Annotated[str, Form(max_length=64)],
        password: Annotated[str, Form(max_length=1000)],
        csrf: Annotated[str, Form(max_length=200)] = "",
        then: Annotated[str, Form(max_length=500)] = "/",
    ) -> Response:
        if not desk.signer.is_form_token(request.cookies.get(FORM_COOKIE, ""), csrf):
            raise ForeignForm
        now, address = desk.now(), request.client.host if request.client else ""
        person = person.strip()
        if wait := gate.wait(person, address, now):
            seconds = ceil(wait.total_seconds())
            page = form(request, status=429, fault="wait", then=own_path(then), wait=seconds)
            page.headers["Retry-After"] = str(seconds)
            return page
        account = gate.account(person, password, address, now)
        log.info("sign-in", outcome="refused" if account is None else "ok", person=account and account.person_id)
        if account is None:
            return form(request, status=401, fault="wrong", then=own_path(then))
        return _welcome(desk, account, now, own_path(then))

    @router.post("/sign-out")
    def sign_out(request: Request, csrf: Annotated[str, Form(max_length=200)] = "") -> Response:
        session = guard.session(request)
        if session is not None and not desk.signer.is_form_token(request.cookies[SESSION_COOKIE], csrf):
            raise ForeignForm
        if session is not None:
            with desk.acting() as acting:
                acting.note(session.account.person_id, SIGNED_OUT, detail=session.session_id)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    return router


def _welcome(desk: Desk, account: Account, now: datetime, then: str) -> Response:
    with desk.acting() as acting:
        acting.note(account.person_id, "signed-in")
    answer = RedirectResponse(then, 303)
    answer.set_cookie(
        SESSION_COOKIE,
        desk.signer.cookie(account, now),
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=desk.secure_cookies,
    )
    return answer
