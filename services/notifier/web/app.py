"""Put the pages together: one FastAPI application over the notifier's store; no clinical decision is made here."""

from collections.abc import Callable
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from services.common.database import PASSING
from services.notifier.web.ack import ack_routes
from services.notifier.web.desk import Desk
from services.notifier.web.guard import ForeignForm, Guard, NotAllowed, NotSignedIn, SafeAnswers
from services.notifier.web.pages import STYLE, Pages
from services.notifier.web.sign_in import sign_in_routes
from services.notifier.web.worklist import worklist_routes

STYLE_SECONDS = 3600

log = structlog.get_logger("worklist")


def build_web(desk: Desk) -> FastAPI:
    """Return the application: worklist, patient's page, link of a mail, sign-in."""
    app = FastAPI(title="Worklist", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    pages, guard = Pages(desk), Guard(desk)
    for router in (ack_routes(desk, pages), sign_in_routes(desk, pages, guard), worklist_routes(desk, pages, guard)):
        app.include_router(router)

    @app.get("/static/worklist.css")
    def style() -> FileResponse:
        return FileResponse(STYLE, media_type="text/css", headers={"Cache-Control": f"max-age={STYLE_SECONDS}"})

    _answer_problems(app, pages)
    app.add_middleware(SafeAnswers, secure=desk.secure_cookies)
    return app


def _answer_problems(app: FastAPI, pages: Pages) -> None:
    """Say in words what is wrong, on a page like the others."""

    def page(key: str, status: int) -> Callable[[Request, Exception], Response]:
        def answer(request: Request, _problem: Exception) -> Response:
            return pages.problem(request, key, status)

        return answer

    def sign_in_first(request: Request, _problem: Exception) -> Response:
        if request.method != "GET":
            return pages.problem(request, "signed_out", 401)
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/sign-in?{urlencode({'then': request.url.path + query})}", 303)

    def by_status(request: Request, problem: Exception) -> Response:
        status = problem.status_code if isinstance(problem, HTTPException) else 500
        return pages.problem(request, "not_found" if status in (404, 405) else "bad_request", status)

    def store_away(request: Request, problem: Exception) -> Response:
        log.warning("store away", problem=type(problem).__name__)
        return pages.problem(request, "store_away", 503)

    app.add_exception_handler(NotSignedIn, sign_in_first)
    app.add_exception_handler(NotAllowed, page("not_allowed", 403))
    app.add_exception_handler(ForeignForm, page("foreign_form", 403))
    app.add_exception_handler(RequestValidationError, page("bad_request", 422))
    app.add_exception_handler(HTTPException, by_status)
    app.add_exception_handler(Exception, page("broken", 500))
    for passing in PASSING:
        app.add_exception_handler(passing, store_away)
