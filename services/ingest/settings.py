"""Environment → frozen settings of ingest. Law: secrets come from files, never from the environment itself.

Names of DESIGN 7 are kept to the letter; everything beyond them has a default that is safe on one machine.
"""

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.environment import wrong_variables
from services.common.errors import Misconfigured
from services.common.kafka import KafkaSettings

KIB = 1024
MIB = 1024 * KIB


class IngestSettings(BaseSettings):
    """What ingest is told by its environment. Sizes in bytes, durations in seconds."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", frozen=True, extra="ignore", env_ignore_empty=True)

    site_dir: Path = Field(default=Path("deploy/site"), validation_alias="SITE_DIR")
    site_key_file: Path = Field(default=Path("var/site.key"), validation_alias="SITE_KEY_FILE")
    site_mode: Literal["local", "production"] = Field(default="local", validation_alias="SITE_MODE")
    log_format: Literal["json", "console"] | None = Field(default=None, validation_alias="LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", validation_alias="LOG_LEVEL")

    mllp_host: str = "127.0.0.1"
    mllp_port: int = Field(default=2575, ge=0, le=65535)
    mllp_tls_port: int | None = Field(default=None, ge=0, le=65535)
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8010, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9110, ge=0, le=65535)

    tls_certfile: Path | None = None
    tls_keyfile: Path | None = None
    tls_client_cafile: Path | None = None
    http_tls: bool = False
    plain_text_outside_loopback: bool = False

    max_frame_bytes: int = Field(default=10 * MIB, ge=64 * KIB, le=11 * MIB)
    max_body_bytes: int = Field(default=1 * MIB, ge=KIB, le=11 * MIB)
    large_frame_bytes: int = Field(default=1 * MIB, ge=KIB)
    connections: int = Field(default=512, ge=1)
    connections_per_peer: int = Field(default=256, ge=1)
    unanswered_frames: int = Field(default=64, ge=1)
    answer_seconds: float = Field(default=3.5, gt=0, lt=4)
    slow_frame_seconds: float = Field(default=30.0, gt=0)
    missing_cr_seconds: float = Field(default=0.2, gt=0)
    stop_seconds: float = Field(default=20.0, gt=0, lt=28)

    @property
    def production(self) -> bool:
        """Tell whether a missing site key must stop the service instead of being made."""
        return self.site_mode == "production"

    def plain_text_faults(self) -> list[str]:
        """Return one sentence per port that would carry patient data in plain text off this machine."""
        if self.plain_text_outside_loopback:
            return []
        return [
            f"{what} would listen on {host} in plain text: {remedy}, or say INGEST_PLAIN_TEXT_OUTSIDE_LOOPBACK=true"
            for what, host, remedy in self.plain_text_ports()
        ]

    def plain_text_ports(self) -> list[tuple[str, str, str]]:
        """Return (what, host, remedy) of each plain-text port that is reachable from other machines."""
        ports = [("MLLP", self.mllp_host, "use INGEST_MLLP_TLS_PORT behind a loopback INGEST_MLLP_HOST")]
        if not self.http_tls:
            ports.append(("the registry API", self.http_host, "set INGEST_HTTP_TLS=true with INGEST_TLS_CERTFILE"))
        return [port for port in ports if not is_loopback(port[1])]

    def tls_faults(self) -> list[str]:
        """Return one sentence per missing file that TLS needs."""
        if self.mllp_tls_port is None and not self.http_tls:
            return []
        wanted = {"INGEST_TLS_CERTFILE": self.tls_certfile, "INGEST_TLS_KEYFILE": self.tls_keyfile}
        missing = [f"TLS is asked for: {name} must name a file" for name, path in wanted.items() if path is None]
        named = [path for path in (*wanted.values(), self.tls_client_cafile) if path is not None]
        return missing + [f"{path} cannot be read: no such file" for path in named if not path.is_file()]


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stays on this machine; an unknown name counts as outside."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings() -> tuple[IngestSettings, KafkaSettings]:
    """Read the environment. Raises Misconfigured with one sentence that names each wrong variable."""
    try:
        return IngestSettings(), KafkaSettings()
    except ValidationError as problem:
        raise Misconfigured("settings", "; ".join(wrong_variables(problem, "INGEST"))) from problem
