"""What a site's folder says about the place as a whole: its zone, its key."""

import os
import secrets
import stat
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

from services.common.errors import Misconfigured

DEFAULT_ZONE = "Asia/Shanghai"
KEY_BYTES = 32


def site_zone(site_dir: Path) -> ZoneInfo:
    """Return the zone in which days, weekends and clock hours are read. Raises Misconfigured."""
    path = site_dir / "site.toml"
    name = DEFAULT_ZONE
    if path.exists():
        try:
            name = tomllib.loads(path.read_text("utf-8")).get("zone", DEFAULT_ZONE)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise Misconfigured("site_file", f"{path}: {problem}") from problem
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as problem:
        raise Misconfigured("site_zone", f"{path}: {name!r} is not an IANA time zone") from problem


def site_key(path: Path, *, production: bool) -> bytes:
    """Return the site's key; on the first local run it is made, mode 0600. Raises Misconfigured.

    Losing the key gives every patient a new ref: see the runbook, "The site key is lost".
    """
    if not path.exists():
        if production:
            raise Misconfigured("site_key_missing", f"{path} does not exist; in production the key must be provided")
        _create_key(path)
    key = path.read_bytes().strip()
    if len(key) < KEY_BYTES:
        raise Misconfigured("site_key_short", f"{path} holds {len(key)} bytes; at least {KEY_BYTES} are needed")
    if production and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured("site_key_readable", f"{path} must be readable by its owner only (chmod 600)")
    return key


def _create_key(path: Path) -> None:
    """Write beside and link into place: of two services that start together one wins, and both read the winner's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
