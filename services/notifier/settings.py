"""Environment of the notifier (DESIGN.md, section 7), read once."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.kafka import KafkaSettings

DEFAULT_DATABASE = "sqlite:///var/notifier.db"


class Settings(BaseSettings):
    """`NOTIFIER_*`, `SITE_DIR`, `SITE_KEY_FILE`, `LOG_*`; how to reach Kafka is in `kafka`.

    `public_url` is how people reach the worklist: links in mails begin with it.
    """

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: str = DEFAULT_DATABASE
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8020, ge=0, le=65535)
    public_url: str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9130, ge=0, le=65535)
    batch: int = Field(default=50, ge=1, le=500)
    clock_seconds: float = Field(default=1.0, gt=0, le=60)
    session_seconds: float = Field(default=10.0, ge=6, le=300)
    site_dir: Path = Field(default=Path("deploy/site"), validation_alias="SITE_DIR")
    site_key_file: Path = Field(default=Path("var/site.key"), validation_alias="SITE_KEY_FILE")
    site_mode: Literal["local", "production"] = Field(default="local", validation_alias="SITE_MODE")
    log_format: Literal["json", "console"] | None = Field(default=None, validation_alias="LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", validation_alias="LOG_LEVEL")
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)

    @property
    def production(self) -> bool:
        """Whether a missing site key is a fault rather than a first run."""
        return self.site_mode == "production"

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return url

    @field_validator("public_url")
    @classmethod
    def _whole_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with https:// (or http://)")
        return url

    def link_base(self, port: int) -> str:
        """Return what links begin with; `port` is the one listened on."""
        return (self.public_url or f"http://{self.http_host}:{port}").rstrip("/")
