"""Make the channels that the site's file names."""

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from services.notifier.adapters.smtp import Smtp
from services.notifier.adapters.webhook import Webhook
from services.notifier.rulebook.people import Channel, SmtpChannel, WebhookChannel

Open = Smtp | Webhook


def open_channel(channel: Channel, now: Callable[[], datetime]) -> Open:
    """Return the way out; nothing is connected yet. Raises ValueError or OSError for an unusable secret."""
    match channel:
        case SmtpChannel():
            return Smtp(channel, now)
        case WebhookChannel():
            return Webhook(channel, now)
        case _:
            assert_never(channel)
