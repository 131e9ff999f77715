"""Read channels.toml, people.toml and rota.csv: the ways out, who there is, who is on duty."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from services.notifier.domain.rota import Duty, Once, Rota, Weekly
from services.notifier.domain.routing import Staff
from services.notifier.domain.values import Contact, Person, PersonId, Role, Tier
from services.notifier.rulebook.files import (
    WEEKDAYS,
    Duration,
    Name,
    Strict,
    parse_wall,
    parse_weekday,
    read_csv,
    read_toml,
    validated,
)

SHORTEST_SECRET_BYTES = 24
FILE_KEYS = ("password_file", "secret_file", "ca_file")
ROTA_COLUMNS = ("role", "person", "days", "from", "to", "first_day", "last_day", "kind")


def is_loopback(host: str) -> bool:
    """Tell whether the host is this machine itself, judged by its name alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class SmtpChannel(Strict):
    """A mail server. TLS is required; `plain` is for loopback, or where `plain_outside_loopback` says so."""

    kind: Literal["smtp"]
    tier: Tier
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    security: Literal["starttls", "tls", "plain"] = "starttls"
    plain_outside_loopback: bool = False
    ca_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    sender: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    timeout: Duration = timedelta(seconds=10)
    parallel: int = Field(default=4, ge=1, le=16)

    @model_validator(mode="after")
    def _is_safe(self) -> "SmtpChannel":
        if self.security == "plain" and not is_loopback(self.host) and not self.plain_outside_loopback:
            raise ValueError('security = "plain" outside loopback needs plain_outside_loopback = true')
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together")
        if self.username and self.security == "plain" and not is_loopback(self.host):
            raise ValueError("a password is never sent without TLS")
        return self

    @property
    def exposed(self) -> str | None:
        """A sentence where messages travel in the clear beyond this machine."""
        open_ = self.security == "plain" and not is_loopback(self.host)
        return f"mail to {self.host} travels without TLS" if open_ else None


class WebhookChannel(Strict):
    """A receiver of signed posts (Standard Webhooks). Contacts' addresses are handed on, not used as URLs."""

    kind: Literal["webhook"]
    tier: Tier
    url: str
    secret_file: Path
    plain_outside_loopback: bool = False
    ca_file: Path | None = None
    timeout: Duration = timedelta(seconds=10)
    parallel: int = Field(default=4, ge=1, le=16)

    @model_validator(mode="after")
    def _is_safe(self) -> "WebhookChannel":
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must begin with https:// (or http:// on loopback)")
        if parts.scheme == "http" and not is_loopback(parts.hostname) and not self.plain_outside_loopback:
            raise ValueError("http:// outside loopback needs plain_outside_loopback = true")
        return self

    @property
    def exposed(self) -> str | None:
        """A sentence where messages travel in the clear beyond this machine."""
        parts = urlsplit(self.url)
        open_ = parts.scheme == "http" and not is_loopback(parts.hostname or "")
        return f"posts to {parts.hostname} travel without TLS" if open_ else None


Channel = SmtpChannel | WebhookChannel
Channels = Mapping[str, Channel]


class ChannelsFile(Strict):
    """channels.toml: one table per channel."""

    channels: dict[Name, Annotated[SmtpChannel | WebhookChannel, Field(discriminator="kind")]] = Field(min_length=1)


class ContactEntry(Strict):
    """One way to reach a person."""

    channel: Name
    address: str = Field(min_length=1, max_length=320, pattern=r"^[^\s<>\x00-\x1f]+$")


Access = Literal["mdt", "coordinator", "integration", "ops", "audit"]


class PersonEntry(Strict):
    """One person."""

    name: str = Field(min_length=1, max_length=100, repr=False)
    language: Literal["zh", "en"] = "zh"
    contacts: tuple[ContactEntry, ...] = Field(min_length=1)
    password: str | None = Field(default=None, pattern=r"^\$argon2id\$\S{40,200}$", repr=False)
    """As printed by `python -m services.notifier password`; without one nobody signs in as this person."""
    access: tuple[Access, ...] = ("mdt",)


class PeopleFile(Strict):
    """people.toml."""

    people: dict[Name, PersonEntry] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in to the worklist."""

    person_id: str
    name: str = field(repr=False)
    language: str
    access: frozenset[str]
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Directory:
    """People as the domain takes them, and their names, which only pages behind a login show."""

    staff: Staff
    names: Mapping[PersonId, str]
    accounts: Mapping[str, Account] = field(default_factory=dict)


def load_channels(site_dir: Path, faults: list[str]) -> Channels:
    """Read channels.toml; on any fault none, and sentences. Relative secret files lie beside it."""
    path = site_dir / "channels.toml"
    content = validated(ChannelsFile, {"channels": read_toml(path, faults)}, str(path), faults)
    if content is None:
        return {}
    found = {name: _beside(channel, site_dir) for name, channel in content.channels.items()}
    for name, channel in found.items():
        secrets = [getattr(channel, key, None) for key in FILE_KEYS]
        faults += [f"{path}: {name}: {file} does not exist" for file in secrets if file and not file.is_file()]
        if (
            isinstance(channel, WebhookChannel)
            and channel.secret_file.is_file()
            and not _is_secret(channel.secret_file)
        ):
            faults.append(f"{path}: {name}: {channel.secret_file} must hold whsec_ and at least 24 bytes in base64")
    return found


def _is_secret(path: Path) -> bool:
    """Tell whether the file holds a secret of Standard Webhooks, of at least 24 bytes."""
    try:
        text = path.read_text("ascii").strip().removeprefix("whsec_")
        return len(b64decode(text + "==")) >= SHORTEST_SECRET_BYTES
    except (OSError, ValueError):
        return False


def _beside(channel: Channel, site_dir: Path) -> Channel:
    """Make relative files relative to the site's folder."""
    files = {key: site_dir / value for key in FILE_KEYS if (value := getattr(channel, key, None)) is not None}
    return channel.model_copy(update=files)


def load_directory(site_dir: Path, channels: Channels, zone: tzinfo, faults: list[str]) -> Directory | None:
    """Read people.toml and rota.csv; on any fault None, and sentences."""
    path = site_dir / "people.toml"
    before = len(faults)
    file = validated(PeopleFile, read_toml(path, faults), str(path), faults)
    if file is None:
        return None
    people = {PersonId(key): _person(key, entry, channels, path, faults) for key, entry in file.people.items()}
    rota = _rota(site_dir / "rota.csv", people, zone, faults)
    names = {PersonId(key): entry.name for key, entry in file.people.items()}
    accounts = {key: _account(key, entry, entry.password) for key, entry in file.people.items() if entry.password}
    return Directory(Staff(people, rota), names, accounts) if len(faults) == before else None


def _account(key: str, entry: PersonEntry, password_hash: str) -> Account:
    return Account(key, entry.name, entry.language, frozenset(entry.access), password_hash)


def _person(key: str, entry: PersonEntry, channels: Channels, path: Path, faults: list[str]) -> Person:
    contacts = []
    for contact in entry.contacts:
        channel = channels.get(contact.channel)
        if channel is None:
            faults.append(f"{path}: people.{key}.contacts: channel {contact.channel} is not in channels.toml")
            continue
        if channel.kind == "smtp" and not _is_mail_address(contact.address):
            faults.append(f"{path}: people.{key}.contacts: the address for {contact.channel} is not a mail address")
        contacts.append(Contact(contact.channel, contact.address, channel.tier))
    return Person(PersonId(key), entry.language, tuple(contacts))


def _is_mail_address(text: str) -> bool:
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):
        return False
    return text.isascii() and bool(address.username) and bool(address.domain)


def _rota(path: Path, people: Mapping[PersonId, Person], zone: tzinfo, faults: list[str]) -> Rota:
    duties = []
    for number, row in read_csv(path, ROTA_COLUMNS, faults):
        try:
            duties.append(_duty(row, people, zone))
        except ValueError as problem:
            faults.append(f"{path}: line {number}: {problem}")
    if not duties:
        faults.append(f"{path}: names nobody who is on duty")
    return Rota(tuple(duties), zone)


def _duty(row: Mapping[str, str], people: Mapping[PersonId, Person], zone: tzinfo) -> Duty:
    person = PersonId(row["person"])
    if person not in people:
        raise ValueError(f"{person or 'nobody'} is not in people.toml")
    if not row["role"]:
        raise ValueError("role is empty")
    if row["kind"] not in ("duty", "override"):
        raise ValueError("kind must be duty or override")
    return Duty(Role(row["role"]), person, _shift(row, zone), row["kind"] == "override")


def _shift(row: Mapping[str, str], zone: tzinfo) -> Weekly | Once:
    """A row with days is a weekly shift with times; one without is a single shift with dates and times."""
    if not row["days"]:
        start, end = _moment(row["from"], zone), _moment(row["to"], zone)
        if end <= start:
            raise ValueError("`to` must be later than `from`")
        return Once(start, end)
    return Weekly(
        _days(row["days"]), parse_wall(row["from"]), _end(row["to"]), _day(row["first_day"]), _day(row["last_day"])
    )


def _end(text: str) -> time:
    return time(0) if text == "24:00" else parse_wall(text)


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date and time such as 2026-01-04T08:00 (weekly shifts need days)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _days(text: str) -> frozenset[int]:
    """Return weekdays of a text such as "mon-fri", "sat sun" or "daily"."""
    if text == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.replace(";", " ").split():
        first, _, last = part.partition("-")
        start, end = parse_weekday(first), parse_weekday(last or first)
        days.update((start + step) % 7 for step in range((end - start) % len(WEEKDAYS) + 1))
    return frozenset(days)
