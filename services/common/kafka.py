"""How to reach Kafka: one set of environment names for both client libraries."""

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.errors import Misconfigured

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
OLDEST_SAFE_CLIENT = (3, 0, 12)
"""Before 3.0.12 a future of kafka-python's producer could resolve for a record that was never acknowledged."""


def topic_name(prefix: str, name: str) -> str:
    """Return the topic's name in Kafka: a replay or a test lives under a prefix of its own."""
    return f"{prefix}{name}"


class KafkaSettings(BaseSettings):
    """Environment `KAFKA_*` and `TOPIC_PREFIX`. Passwords come from files only."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True, extra="ignore")

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    partitions: int = Field(default=12, ge=1, le=1000)
    replication: int | None = Field(default=None, ge=1, le=7)
    topic_prefix: str = Field(default="", validation_alias="TOPIC_PREFIX", pattern=r"^[A-Za-z0-9._-]*$")

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and not (self.sasl_mechanism and self.sasl_username):
            message = "KAFKA_SECURITY_PROTOCOL asks for SASL: KAFKA_SASL_MECHANISM and KAFKA_SASL_USERNAME are needed"
            raise ValueError(message)
        return self

    @property
    def servers(self) -> list[str]:
        """Host and port of each bootstrap server."""
        return [server.strip() for server in self.bootstrap_servers.split(",") if server.strip()]

    def topic(self, name: str) -> str:
        """Return the name of one of our topics in Kafka."""
        return topic_name(self.topic_prefix, name)

    def password(self) -> str | None:
        """Return the SASL password. Raises Misconfigured when its file cannot be read."""
        if self.sasl_password_file is None:
            return None
        try:
            return self.sasl_password_file.read_text("utf-8").strip()
        except OSError as problem:
            raise Misconfigured("sasl_password_file", f"{self.sasl_password_file}: {problem.strerror}") from problem

    def for_kafka_python(self) -> dict[str, Any]:
        """Return the connection keywords of kafka-python's clients."""
        keywords: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.security_protocol,
            "reconnect_backoff_max_ms": 1_000,
        }
        if self.security_protocol.startswith("SASL"):
            keywords |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.password(),
            }
        if self.security_protocol.endswith("SSL"):
            keywords["ssl_context"] = self.ssl_context()
        return keywords

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context, or None where the protocol has no TLS. Raises Misconfigured."""
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None)
            if self.ssl_certfile:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except OSError as problem:
            raise Misconfigured("kafka_tls", f"certificate files: {problem}") from problem
        return context


def require_safe_client() -> None:
    """Refuse a kafka-python that may say "sent" of what was not. Raises Misconfigured."""
    import kafka  # noqa: PLC0415 - settings are read by tools that need no client

    found = tuple(int(part) for part in kafka.__version__.split(".")[:3] if part.isdigit())
    if not OLDEST_SAFE_CLIENT <= found < (3, 1):
        raise Misconfigured("kafka_client", f"kafka-python {kafka.__version__} is not one of 3.0.12 to 3.0.x")
