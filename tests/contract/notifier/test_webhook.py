import base64
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from services.common.clock import utc_now
from services.notifier.adapters.port import Outcome, Outgoing
from services.notifier.adapters.webhook import Webhook, retry_after
from services.notifier.domain.delivery import Kind
from services.notifier.rulebook.people import WebhookChannel

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a test secret").decode()
NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
PAGE = Outgoing("1f2e", "<1f2e@irae>", "P1", "page", "5501", "P1 0F1E", "P1 0F1E", number="0F1E", language="en")


class Receiver:
    """A real HTTP server that answers what it is told to and keeps what came."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers.items()), body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/irae"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    each = Receiver()
    yield each
    each.stop()


@pytest.fixture
def webhook(receiver: Receiver, tmp_path: Path) -> Iterator[Webhook]:
    way = Webhook(channel(receiver.url, tmp_path), utc_now)
    yield way
    way.close()


def channel(url: str, folder: Path) -> WebhookChannel:
    (folder / "secret").write_text(SECRET + "\n")
    values: dict[str, Any] = {"kind": "webhook", "tier": "page", "url": url, "secret_file": folder / "secret"}
    return WebhookChannel.model_validate(values | {"timeout": "2s"})


def test_a_post_is_signed_so_that_the_receiver_can_prove_it(webhook: Webhook, receiver: Receiver) -> None:
    assert webhook.send(PAGE) == Outcome(Kind.SENT, "204")
    headers, body = receiver.got[0]
    lower = {name.lower(): value for name, value in headers.items()}
    read = Verifier(SECRET).verify(body, lower)
    assert read["data"] == {
        "urgency": "P1",
        "number": "0F1E",
        "to": "5501",
        "subject": "P1 0F1E",
        "text": "P1 0F1E",
        "language": "en",
    }
    assert lower["webhook-id"] == "1f2e"
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body.replace(b"P1", b"P2"), lower)


def test_every_attempt_has_the_same_id(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [(503, {}), (200, {})]
    assert [webhook.send(PAGE).kind for _ in range(2)] == [Kind.RETRY, Kind.SENT]
    assert len({headers.get("webhook-id") or headers.get("Webhook-Id") for headers, _ in receiver.got}) == 1


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(202, {}, Outcome(Kind.SENT, "202"), id="accepted"),
        pytest.param(429, {"retry-after": "30"}, Outcome(Kind.RETRY, "429", timedelta(seconds=30)), id="slow down"),
        pytest.param(503, {"retry-after": "soon"}, Outcome(Kind.RETRY, "503"), id="nonsense in Retry-After"),
        pytest.param(500, {}, Outcome(Kind.RETRY, "500"), id="broken"),
        pytest.param(408, {}, Outcome(Kind.RETRY, "408"), id="too slow for them"),
        pytest.param(400, {}, Outcome(Kind.REFUSED, "400"), id="not understood"),
        pytest.param(401, {}, Outcome(Kind.REFUSED, "401"), id="signature refused"),
        pytest.param(410, {}, Outcome(Kind.REFUSED, "410"), id="gone"),
        pytest.param(302, {"location": "http://127.0.0.1:1/"}, Outcome(Kind.REFUSED, "302"), id="sent elsewhere"),
    ],
)
def test_the_status_decides(
    webhook: Webhook, receiver: Receiver, status: int, headers: dict[str, str], expected: Outcome
) -> None:
    receiver.answers = [(status, headers)]
    assert webhook.send(PAGE) == expected


def test_a_receiver_that_is_away_is_tried_again(tmp_path: Path) -> None:
    gone = Receiver()
    gone.stop()
    way = Webhook(channel(gone.url, tmp_path), utc_now)
    assert way.send(PAGE) == Outcome(Kind.RETRY, "ConnectError")
    way.close()


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        pytest.param("120", timedelta(minutes=2), id="seconds"),
        pytest.param("Wed, 04 Mar 2026 02:05:00 GMT", timedelta(minutes=5), id="a date"),
        pytest.param("Wed, 04 Mar 2026 01:00:00 GMT", timedelta(0), id="a date gone by"),
        pytest.param("999999999999", timedelta(hours=1), id="never more than an hour"),
        pytest.param("", timedelta(0), id="nothing"),
        pytest.param("-5", timedelta(0), id="a negative number"),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, wait: timedelta) -> None:
    assert retry_after(text, NOW) == wait
