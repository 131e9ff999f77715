"""Signed posts after Standard Webhooks: the receiver proves the sender by HMAC and drops known `webhook-id`s.

2xx is sent; 408, 425, 429, 5xx and trouble on the way are tried again, not before Retry-After; all else is refused.
"""

import json
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import httpx
from standardwebhooks.webhooks import Webhook as Signer

from services.notifier.adapters.port import Outcome, Outgoing, refused, retry, sent
from services.notifier.rulebook.people import WebhookChannel

AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
LONGEST_WAIT = timedelta(hours=1)
SERVER_ERROR = 500


class Webhook:
    """One receiver. `now` stamps the posts."""

    def __init__(self, channel: WebhookChannel, now: Callable[[], datetime]) -> None:
        self._channel, self._now = channel, now
        self._signer = Signer(_secret(channel.secret_file))
        verify: ssl.SSLContext | bool = True
        if channel.ca_file:
            verify = ssl.create_default_context(cafile=str(channel.ca_file))
        self._client = httpx.Client(timeout=channel.timeout.total_seconds(), verify=verify, trust_env=False)

    def send(self, message: Outgoing) -> Outcome:
        """Post one message."""
        now = self._now()
        body = json.dumps(payload(message, now), ensure_ascii=False)
        headers = {
            "content-type": "application/json",
            "webhook-id": message.item_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message.item_id, now, body),
        }
        try:
            answer = self._client.post(self._channel.url, content=body.encode(), headers=headers)
        except httpx.ConnectError as problem:
            return retry(type(problem).__name__)
        except httpx.HTTPError as problem:
            return retry(type(problem).__name__, unsure=True)
        return _judge(answer, now)

    def check(self) -> str | None:
        """Nothing can be tried without a post; `send-test` does that."""
        return None

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def payload(message: Outgoing, now: datetime) -> dict[str, object]:
    """Return what is posted; the tier has already decided what the text may say."""
    return {
        "type": f"lab-alert.{message.tier}",
        "timestamp": now.isoformat(),
        "data": {
            "urgency": message.urgency,
            "number": message.number,
            "to": message.address,
            "subject": message.subject,
            "text": message.text,
            "language": message.language,
        },
    }


def _secret(path: Path) -> str:
    return path.read_text("utf-8").strip()


def _judge(answer: httpx.Response, now: datetime) -> Outcome:
    code = answer.status_code
    if answer.is_success:
        return sent(str(code))
    if code in AGAIN or code >= SERVER_ERROR:
        return retry(str(code), retry_after(answer.headers.get("retry-after", ""), now))
    return refused(str(code))


def retry_after(text: str, now: datetime) -> timedelta:
    """Return how long a server asks to wait: seconds or a date, at most an hour; nonsense is no wait."""
    if text.strip().isdigit():
        return min(timedelta(seconds=int(text.strip()[:9])), LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(text) - now
    except (TypeError, ValueError):
        return timedelta(0)
    return max(timedelta(0), min(wait, LONGEST_WAIT))
