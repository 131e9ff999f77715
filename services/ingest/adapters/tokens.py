"""Bearer tokens of the HTTP API, read from the site's `tokens.toml`. Law: the file holds hashes only.

A token is 256 random bits, so that a plain SHA-256 of it cannot be reversed; what it grants stands beside the hash.
The file is read again when it changes: a token is withdrawn by deleting its stanza.
"""

import hashlib
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import structlog

from services.common.errors import Misconfigured

Role = Literal["mdt", "coordinator", "integration", "ops", "audit"]
ROLES: tuple[Role, ...] = get_args(Role)
KEYS = {"sha256", "source", "authority", "roles"}
PREFIX = "irae_"
SHA256_DIGITS = 64

log = structlog.get_logger("tokens")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the bearer of a token is: the source that its messages come from, whose MRNs it speaks of, its roles."""

    source: str
    authority: str
    roles: frozenset[str]


class TokenFile:
    """The grants of a site; a file that is missing grants nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._grants: dict[str, Grant] = {}

    def load(self) -> None:
        """Read the file. Raises Misconfigured with one sentence."""
        self._read_at = self._mark()
        self._grants = read_grants(self._path) if self._path.exists() else {}

    @property
    def authorities(self) -> frozenset[str]:
        """The assigning authorities that bearers speak of."""
        return frozenset(grant.authority for grant in self._grants.values())

    def grant(self, token: str) -> Grant | None:
        """Return what the token grants; None for an unknown one."""
        if self._mark() != self._read_at:
            self._reload()
        return self._grants.get(digest(token))

    def _reload(self) -> None:
        try:
            self.load()
        except Misconfigured as problem:
            log.error("tokens not read again, the former ones stay", problem=problem.detail)  # noqa: TRY400 - the sentence says it
        else:
            log.info("tokens read again", tokens=len(self._grants))

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


def digest(token: str) -> str:
    """Return what stands in the file for a token. Looking a hash up leaks nothing useful by its duration."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_grants(path: Path) -> dict[str, Grant]:
    """Return the grants by hash. Raises Misconfigured for anything that is not exactly as documented."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Misconfigured("tokens", f"{path}: {problem}") from problem
    if unknown := content.keys() - {"token"}:
        raise Misconfigured("tokens", f"{path}: unknown key {min(unknown)}")
    grants: dict[str, Grant] = {}
    for number, stanza in enumerate(content.get("token", []), start=1):
        sha256, grant = _grant(stanza, f"{path}: token {number}")
        if sha256 in grants:
            raise Misconfigured("tokens", f"{path}: token {number}: the same hash stands twice")
        grants[sha256] = grant
    return grants


def _grant(stanza: dict[str, Any], where: str) -> tuple[str, Grant]:
    if unknown := stanza.keys() - KEYS:
        raise Misconfigured("tokens", f"{where}: unknown key {min(unknown)}")
    if missing := KEYS - stanza.keys():
        raise Misconfigured("tokens", f"{where}: {min(missing)} is missing")
    sha256 = str(stanza["sha256"]).lower()
    if len(sha256) != SHA256_DIGITS or not set(sha256) <= set("0123456789abcdef"):
        raise Misconfigured("tokens", f"{where}: sha256 must be 64 hex digits; never write the token itself here")
    roles = stanza["roles"]
    if not isinstance(roles, list) or not roles or (strange := set(map(str, roles)) - set(ROLES)):
        said = min(strange) if isinstance(roles, list) and roles else "none"
        raise Misconfigured("tokens", f"{where}: roles must be some of {', '.join(ROLES)}, not {said}")
    for key in ("source", "authority"):
        if not isinstance(stanza[key], str) or not stanza[key].strip():
            raise Misconfigured("tokens", f"{where}: {key} must be a name")
    return sha256, Grant(stanza["source"], stanza["authority"], frozenset(roles))


def new_token(source: str, authority: str, roles: list[str]) -> tuple[str, str]:
    """Return a new token and the stanza that grants it. Raises Misconfigured for a role that does not exist."""
    token = PREFIX + secrets.token_urlsafe(32)
    stanza = "\n".join(
        (
            "[[token]]",
            f'sha256 = "{digest(token)}"',
            f"source = {_quoted(source)}",
            f"authority = {_quoted(authority)}",
            f"roles = [{', '.join(map(_quoted, roles))}]",
        )
    )
    _grant(tomllib.loads(stanza)["token"][0], "token new")
    return token, stanza + "\n"


def _quoted(text: str) -> str:
    if not text.isprintable() or '"' in text or "\\" in text:
        raise Misconfigured("tokens", "source, authority and roles must be printable, without quotes or backslashes")
    return f'"{text}"'
