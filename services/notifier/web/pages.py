"""Lay out pages: language, layout, and the headers that every answer carries."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse

from services.notifier.adapters.templates import TEMPLATES, environment
from services.notifier.domain.evidence import alert_number
from services.notifier.domain.message import baseline_text, grade_text, plan_text, reason_text, rule_title, trend_text
from services.notifier.domain.sentences import because_text
from services.notifier.domain.words import Language
from services.notifier.web.desk import Desk
from services.notifier.web.session import Session

LANGUAGE_COOKIE = "language"
LANGUAGE_COOKIE_SECONDS = 365 * 24 * 3600
STYLE = Path(__file__).parent / "static" / "worklist.css"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
SECURE_HEADERS = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"}


class Pages:
    """Renders a page for a request."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._layouts = environment(TEMPLATES / "pages")
        self._layouts.globals.update(
            alert_number=alert_number,
            rule_title=rule_title,
            baseline_text=baseline_text,
            because_text=because_text,
            grade_text=grade_text,
            plan_text=plan_text,
            trend_text=trend_text,
            reason_text=reason_text,
            name_of=desk.name_of,
        )

    def show(
        self, request: Request, name: str, *, session: Session | None = None, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a page. The language asked for in the address is remembered."""
        language = chosen_language(request, session)
        now: datetime = self._desk.now()
        html = self._layouts.get_template(name).render(
            words=self._desk.letters.words(language),
            language=language,
            other_language=_other_language(request, language),
            session=session,
            now=now,
            path=request.url.path,
            query=request.url.query,
            **values,
        )
        safety = SECURE_HEADERS if self._desk.secure_cookies else HEADERS
        headers = {**safety, "Content-Language": language, "Vary": "Accept-Language, Cookie"}
        response = HTMLResponse(html, status, headers)
        if request.query_params.get("lang") == language:
            response.set_cookie(
                LANGUAGE_COOKIE,
                language,
                max_age=LANGUAGE_COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=self._desk.secure_cookies,
            )
        return response

    def problem(self, request: Request, key: str, status: int, session: Session | None = None) -> HTMLResponse:
        """Return a page that says in words what is wrong."""
        return self.show(request, "problem.html", session=session, status=status, key=key)


def chosen_language(request: Request, session: Session | None) -> Language:
    """Take the address's language, else the remembered one, else the account's, else what the browser asks for."""
    asked = [request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)]
    asked.append(session.account.language if session else None)
    asked += accepted_languages(request.headers.get("accept-language", ""))
    return next((Language(one) for one in asked if one in tuple(Language)), Language.ZH)


def accepted_languages(header: str) -> list[str]:
    """Return the primary languages of an Accept-Language header, the most wanted first."""
    weighed = []
    for position, part in enumerate(header[:500].split(",")):
        tag, _, parameters = part.strip().partition(";")
        _, _, weight = parameters.partition("q=")
        try:
            weighed.append((-float(weight or 1), position, tag.split("-")[0].lower()))
        except ValueError:
            continue
    return [tag for weight, _, tag in sorted(weighed) if weight < 0]


def _other_language(request: Request, language: Language) -> Mapping[str, str]:
    """Return the switch: the same page in the other language."""
    other = Language.EN if language is Language.ZH else Language.ZH
    own_path = "/" + request.url.path.lstrip("/\\")  # a path of two slashes would lead to another host
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
    return {"code": other, "url": f"{own_path}?{urlencode([*kept, ('lang', other)])}"}
