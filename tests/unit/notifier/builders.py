"""Alerts, people and rules for tests: only what matters stands in a test."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from services.notifier.domain.escalation import Climb, EscalationRules, Listed
from services.notifier.domain.hours import Hours
from services.notifier.domain.rota import Duty, Rota, Weekly
from services.notifier.domain.routing import Manner, RoutingRules, Staff, When
from services.notifier.domain.values import Action, AlertFacts, AlertId, Contact, Person, PersonId, Role, Tier, Urgency

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
"""A Wednesday, 10:00 in Shanghai."""

NIGHT = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
"""The night to Thursday, 02:00 in Shanghai."""

ALWAYS = Weekly(frozenset(range(7)), time(0), time(0))
WITHIN = timedelta(minutes=15)

LADDERS: EscalationRules = {
    Urgency.P1: Climb(
        WITHIN,
        ((Role("@alert"),), (Role("@alert"), Role("oncology")), (Role("@alert"), Role("on-call"))),
        holds=timedelta(hours=8),
    ),
    Urgency.P2: Climb(timedelta(hours=24), ((Role("@alert"),), (Role("@alert"), Role("trial-coordinator")))),
    Urgency.P3: Listed(timedelta(days=7)),
    Urgency.P4: Listed(timedelta(days=28)),
}


def facts(**changed: Any) -> AlertFacts:
    values: dict[str, Any] = {
        "alert_id": AlertId("a1"),
        "seq": 1,
        "action": Action.RAISED,
        "live": True,
        "urgency": Urgency.P1,
        "level": 2,
        "decided_at": NOW,
        "organ": "liver",
        "roles": (Role("hepatology"),),
    }
    return AlertFacts(**values | changed)


def person(name: str, *tiers: Tier, language: str = "zh") -> Person:
    contacts = tuple(
        Contact("pager" if tier is Tier.PAGE else "mail", f"{name}@{tier}.example", tier)
        for tier in tiers or (Tier.PAGE, Tier.MAIL)
    )
    return Person(PersonId(name), language, contacts)


def staff(people: Mapping[str, Person] = MappingProxyType({}), /, **holders: str) -> Staff:
    """Return people who hold roles at all times; underscores in a role's name stand for hyphens."""
    duties = [
        Duty(Role(role.replace("_", "-")), PersonId(name), ALWAYS)
        for role, names in holders.items()
        for name in names.split()
    ]
    known = {PersonId(name): person(name) for names in holders.values() for name in names.split()}
    known |= {PersonId(name): each for name, each in people.items()}
    return Staff(known, Rota(tuple(duties), SHANGHAI))


def routing(**changed: Any) -> RoutingRules:
    values: dict[str, Any] = {
        "manners": {
            Urgency.P1: Manner(When.NOW, When.NOW),
            Urgency.P2: Manner(When.WORKING_HOURS, When.NOW),
            Urgency.P3: Manner(When.NEVER, When.DAILY),
            Urgency.P4: Manner(When.NEVER, When.WEEKLY),
        },
        "organs": {"liver": (Role("hepatology"), Role("oncology"))},
        "default_roles": (Role("oncology"),),
        "fall_backs": {Role("hepatology"): (Role("gastroenterology"),)},
        "last_resort": (Role("on-call"),),
        "replacements": {},
        "hours": Hours(SHANGHAI, frozenset(range(5)), time(8), time(17, 30)),
        "daily_at": time(8),
        "weekly_day": 0,
        "weekly_at": time(8),
        "retest_roles": (Role("trial-coordinator"),),
        "ward_roles": {"Oncology 3": Role("ward-3")},
    }
    return RoutingRules(**values | changed)
