"""All that files tell the notifier, as one value; read anew on a change, kept as it was when the change is faulty."""

import os
import threading
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

import structlog

from services.common.errors import Misconfigured
from services.common.site import site_zone
from services.notifier.domain.escalation import THE_ALERTS_ROLES, Climb
from services.notifier.domain.rota import unheld
from services.notifier.domain.values import Role
from services.notifier.rulebook.files import SiteFaults
from services.notifier.rulebook.people import Channels, Directory, load_channels, load_directory
from services.notifier.rulebook.rules import DEFAULTS, Rules, load_rules

FILES = ("site.toml", "routing.toml", "escalation.toml", "phi.toml", "channels.toml", "people.toml", "rota.csv")
GAPS_AHEAD_DAYS = 14

log = structlog.get_logger("site")


@dataclass(frozen=True, slots=True)
class Site:
    """Rules, channels, people and zone of this site."""

    zone: tzinfo
    rules: Rules
    channels: Channels
    directory: Directory

    def warnings(self, now: datetime) -> list[str]:
        """Return a sentence per thing that works but should be known."""
        routing, rota = self.rules.routing, self.directory.staff.rota
        last = [
            f"rota.csv: nobody holds the last resort {role} at {gap.astimezone(self.zone):%Y-%m-%d %H:%M}"
            for role, gap in unheld(rota, routing.last_resort, now, GAPS_AHEAD_DAYS)
        ]
        never = sorted(self._roles() - rota.roles())
        unnamed = (
            [f"rota.csv: nobody ever holds {', '.join(never)}: their alerts go to the fall-backs"] if never else []
        )
        exposed = [
            f"channels.toml: {name}: {sentence}"
            for name, channel in self.channels.items()
            if (sentence := channel.exposed)
        ]
        return last + unnamed + exposed

    def _roles(self) -> frozenset[Role]:
        routing = self.rules.routing
        steps = (
            role
            for rule in self.rules.ladders.values()
            if isinstance(rule, Climb)
            for step in rule.steps
            for role in step
        )
        organs = (role for roles in routing.organs.values() for role in roles)
        wards = (routing.ward_roles or {}).values()
        named = {*steps, *organs, *wards, *routing.default_roles, *routing.last_resort, *routing.retest_roles}
        return frozenset(named - {THE_ALERTS_ROLES})


def load_site(site_dir: Path) -> Site:
    """Read all files. Raises SiteFaults with a sentence per fault."""
    if not site_dir.is_dir():
        raise SiteFaults(
            [f"{site_dir}: the site's folder does not exist; set SITE_DIR, or copy deploy/site to begin with"]
        )
    faults: list[str] = []
    try:
        zone = site_zone(site_dir)
    except Misconfigured as problem:
        raise SiteFaults([problem.detail]) from problem
    rules = load_rules(site_dir, zone, faults)
    channels = load_channels(site_dir, faults)
    directory = load_directory(site_dir, channels, zone, faults) if channels else None
    if faults or rules is None or directory is None:
        raise SiteFaults(faults or [f"{site_dir}: cannot be used"])
    return Site(zone, rules, channels, directory)


class SiteFiles:
    """The site as it stands; `refresh` looks whether a file has changed. Used by several threads."""

    def __init__(self, site_dir: Path) -> None:
        self._dir = site_dir
        self._lock = threading.Lock()
        self._marks = self._look()
        self._site = load_site(site_dir)
        self.fault: str | None = None
        """Why the newest files are not in force; None when they are."""

    def current(self) -> Site:
        """Return the newest faultless site."""
        return self._site

    def refresh(self) -> bool:
        """Read the files again if one has changed; a faulty change is said and the old site stays in force."""
        with self._lock:
            marks = self._look()
            if marks == self._marks:
                return False
            self._marks = marks
            try:
                self._site = load_site(self._dir)
            except SiteFaults as problem:
                self.fault = problem.sentences[0]
                log.warning("site files are faulty, the former ones stay in force", faults=problem.sentences)
                return False
            self.fault = None
            log.info("site files read anew")
            return True

    def _look(self) -> dict[Path, tuple[int, int]]:
        paths = [self._dir / name for name in FILES]
        paths += [
            base / f"{name}.toml"
            for base in (DEFAULTS, self._dir / "rules" / "notifier")
            for name in ("routing", "escalation", "phi")
        ]
        return {path: (stat.st_mtime_ns, stat.st_size) for path in paths if (stat := _stat(path))}


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
