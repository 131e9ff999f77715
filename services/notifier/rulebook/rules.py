"""Read routing.toml, escalation.toml and phi.toml: our defaults, and the site's choices over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from services.notifier.domain.delivery import Patience
from services.notifier.domain.escalation import Climb, EscalationRules, Listed
from services.notifier.domain.hours import Hours
from services.notifier.domain.routing import Manner, RoutingRules, When
from services.notifier.domain.values import Role, Tier, Urgency
from services.notifier.rulebook.files import (
    Duration,
    Name,
    Sourced,
    Strict,
    Wall,
    Weekday,
    merged,
    read_toml,
    validated,
)

DEFAULTS = Path(__file__).parent.parent / "rules"
Roles = tuple[Name, ...]
PhiField = Literal["alert-number", "urgency", "call-back", "patient-ref", "evidence", "trend", "link"]
MINIMUM: frozenset[PhiField] = frozenset({"alert-number", "urgency", "call-back"})


class UrgencyRule(Sourced):
    """How one urgency is told."""

    page: When
    mail: When


class Urgencies(Strict):
    """All four, none may be left out."""

    P1: UrgencyRule
    P2: UrgencyRule
    P3: UrgencyRule
    P4: UrgencyRule

    @model_validator(mode="after")
    def _urgent_is_now(self) -> "Urgencies":
        if When.NOW not in (self.P1.page, self.P1.mail):
            raise ValueError("P1 must be told now, by page or by mail")
        return self


class RoleRules(Strict):
    """Roles of alerts that name none, and of last resort."""

    default: Roles = Field(min_length=1)
    last_resort: Roles = Field(min_length=1)


class HoursRule(Strict):
    """Working hours."""

    days: tuple[Weekday, ...] = Field(min_length=1)
    start: Wall = Field(alias="from")
    end: Wall = Field(alias="to")
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> "HoursRule":
        if self.end <= self.start:
            raise ValueError("`to` must be later than `from`")
        return self


class DigestRule(Strict):
    """When what does not interrupt is sent."""

    daily_at: Wall
    weekly_day: Weekday
    weekly_at: Wall


class RetestRule(Sourced):
    """Who hears of overdue draws."""

    roles: Roles = Field(min_length=1)
    when: Literal[When.NOW, When.DAILY]


class RoutingFile(Strict):
    """routing.toml. `call_back` is what a page asks to ring."""

    urgency: Urgencies
    organs: dict[str, Roles]
    roles: RoleRules
    fall_back: dict[Name, Roles]
    arms: dict[str, dict[Name, Name]] = Field(default_factory=dict)
    hours: HoursRule
    digests: DigestRule
    retests: RetestRule
    wards: dict[str, Name] = Field(default_factory=dict)
    call_back: str = Field(default="", max_length=40)


class ClimbRule(Sourced):
    """A ladder."""

    acknowledge_within: Duration
    acknowledgement_holds: Duration | None = None
    steps: tuple[tuple[str, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_step_tells_somebody(self) -> "ClimbRule":
        if not all(self.steps):
            raise ValueError("every step must name a role or @alert")
        return self


class ListRule(Sourced):
    """No ladder, listed again."""

    list_again_after: Duration


class Ladders(Strict):
    """All four; P1 and P2 climb."""

    P1: ClimbRule
    P2: ClimbRule
    P3: ClimbRule | ListRule
    P4: ClimbRule | ListRule


class LinkRule(Sourced):
    """How long the link of a mail acknowledges."""

    valid: Duration


class SendingRule(Strict):
    """How attempts are spaced."""

    first_retry: Duration
    longest_retry: Duration
    give_up_after: Duration
    stale_after: Duration
    stale_waits: Duration


class EscalationFile(Strict):
    """escalation.toml."""

    ladder: Ladders
    links: LinkRule
    sending: SendingRule


class TierRule(Sourced):
    """What a tier may carry."""

    carries: tuple[PhiField, ...]


class PhiFile(Strict):
    """phi.toml."""

    page: TierRule
    mail: TierRule

    @model_validator(mode="after")
    def _pages_say_no_more_than_the_minimum(self) -> "PhiFile":
        more = set(self.page.carries) - MINIMUM
        if more:
            raise ValueError(f"a page may not carry {', '.join(sorted(more))}")
        return self


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """What was decided longer ago than `stale_after` waits for `waits` before it is sent."""

    stale_after: timedelta
    waits: timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules as the domain takes them."""

    routing: RoutingRules
    ladders: EscalationRules
    link_valid: timedelta
    patience: Patience
    catching_up: CatchingUp
    carries: Mapping[Tier, frozenset[str]]
    call_back: str


def load_rules(site_dir: Path, zone: tzinfo, faults: list[str]) -> Rules | None:
    """Read the three files; on any fault None, and sentences."""
    routing = validated(RoutingFile, *_layered("routing", site_dir, faults), faults)
    escalation = validated(EscalationFile, *_layered("escalation", site_dir, faults), faults)
    phi = validated(PhiFile, *_layered("phi", site_dir, faults), faults)
    if routing is None or escalation is None or phi is None:
        return None
    ladders = escalation.ladder
    return Rules(
        routing=_routing(routing, zone),
        ladders={urgency: _ladder(getattr(ladders, urgency)) for urgency in Urgency},
        link_valid=escalation.links.valid,
        patience=Patience(
            escalation.sending.first_retry, escalation.sending.longest_retry, escalation.sending.give_up_after
        ),
        catching_up=CatchingUp(escalation.sending.stale_after, escalation.sending.stale_waits),
        carries={Tier.PAGE: frozenset(phi.page.carries), Tier.MAIL: frozenset(phi.mail.carries)},
        call_back=routing.call_back,
    )


def _layered(name: str, site_dir: Path, faults: list[str]) -> tuple[dict[str, Any], str]:
    """Lay the site's file (or its override in rules/) over ours; a ladder changes its kind as a whole."""
    ours = read_toml(DEFAULTS / f"{name}.toml", faults)
    where = str(DEFAULTS / f"{name}.toml")
    for path in (site_dir / f"{name}.toml", site_dir / "rules" / "notifier" / f"{name}.toml"):
        if path.exists():
            ours, where = _overlaid(ours, read_toml(path, faults)), f"{path} over our defaults"
    return ours, where


def _overlaid(ours: dict[str, Any], site: dict[str, Any]) -> dict[str, Any]:
    """Where the site turns a list into a ladder or back, what belonged to the other kind goes."""
    both = merged(ours, site)
    for urgency, chosen in site.get("ladder", {}).items() if isinstance(site.get("ladder"), dict) else ():
        if isinstance(chosen, dict) and "acknowledge_within" in chosen and "list_again_after" not in chosen:
            both["ladder"][urgency].pop("list_again_after", None)
        if isinstance(chosen, dict) and "list_again_after" in chosen and "acknowledge_within" not in chosen:
            for key in ("acknowledge_within", "acknowledgement_holds", "steps"):
                both["ladder"][urgency].pop(key, None)
    return both


def _routing(file: RoutingFile, zone: tzinfo) -> RoutingRules:
    return RoutingRules(
        manners={
            urgency: Manner(getattr(file.urgency, urgency).page, getattr(file.urgency, urgency).mail)
            for urgency in Urgency
        },
        organs={organ: _roles(roles) for organ, roles in file.organs.items()},
        default_roles=_roles(file.roles.default),
        fall_backs={Role(role): _roles(others) for role, others in file.fall_back.items()},
        last_resort=_roles(file.roles.last_resort),
        replacements={arm: {Role(old): Role(new) for old, new in swaps.items()} for arm, swaps in file.arms.items()},
        hours=Hours(zone, frozenset(file.hours.days), file.hours.start, file.hours.end, frozenset(file.hours.holidays)),
        daily_at=file.digests.daily_at,
        weekly_day=file.digests.weekly_day,
        weekly_at=file.digests.weekly_at,
        retest_roles=_roles(file.retests.roles),
        ward_roles={ward: Role(role) for ward, role in file.wards.items()},
        retest_when=file.retests.when,
    )


def _ladder(rule: ClimbRule | ListRule) -> Climb | Listed:
    if isinstance(rule, ListRule):
        return Listed(rule.list_again_after)
    return Climb(rule.acknowledge_within, tuple(_roles(step) for step in rule.steps), rule.acknowledgement_holds)


def _roles(names: tuple[str, ...]) -> tuple[Role, ...]:
    return tuple(Role(name) for name in names)
