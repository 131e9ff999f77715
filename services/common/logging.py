"""Logs: one line per unit of work, JSON in production, to stdout. Law: no line names a patient but by `patient_ref`.

Libraries that format whole messages at DEBUG (the stream engine does) are held at INFO whatever the level asked for;
those that tell twenty lines of every connection at WARNING.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

LogFormat = Literal["json", "console"]
HELD_AT_INFO = ("faust", "mode")
HELD_AT_WARNING = ("kafka", "aiokafka", "httpx", "httpcore", "uvicorn.access", "alembic", "sqlalchemy", "asyncio")
FORBIDDEN_KEYS = frozenset({"mrn", "name", "birth_date", "value", "address", "phone", "body", "password", "token"})


def withhold(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last line of defence: a field that may name a patient or hold a secret never leaves the process."""
    for key in FORBIDDEN_KEYS & entry.keys():
        entry[key] = "[withheld]"
    return entry


def configure(service: str, log_format: LogFormat | None = None, level: str = "info") -> None:
    """Set up structlog and the standard library's logging. `log_format` None: console on a terminal, else JSON."""
    chosen = log_format or ("console" if sys.stdout.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if chosen == "console" else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.contextvars.bind_contextvars(service=service)
    hold_libraries()


def hold_libraries() -> None:
    """Keep libraries from logging message contents; to be called again after a library set its own levels."""
    for name in HELD_AT_INFO:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    for name in HELD_AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
