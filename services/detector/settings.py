"""Environment of the detector (DESIGN.md, section 7), read once."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.kafka import KafkaSettings

DEFAULT_DATABASE = "sqlite:///var/detector.db"


class Settings(BaseSettings):
    """`DETECTOR_*`, `SITE_DIR`, `LOG_*`; how to reach Kafka is in `kafka`."""

    model_config = SettingsConfigDict(env_prefix="DETECTOR_", frozen=True, extra="ignore")

    database_url: str = DEFAULT_DATABASE
    due_seconds: float = Field(default=5.0, gt=0, le=3600)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9120, ge=0, le=65535)
    batch: int = Field(default=500, ge=1, le=2000)
    session_seconds: float = Field(default=10.0, ge=6, le=300)
    keep_unenrolled_days: int = Field(default=35, ge=0, le=3650)
    site_dir: Path = Field(default=Path("deploy/site"), validation_alias="SITE_DIR")
    log_format: Literal["json", "console"] | None = Field(default=None, validation_alias="LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", validation_alias="LOG_LEVEL")
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return url
