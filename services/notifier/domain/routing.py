"""Who is told about an alert, by which contact, when and why; and who is not told, and why not.

Pure. A role that nobody holds, or whose holders cannot be reached at the tier, falls to its named fall-backs, visibly.
People are those on duty when the message is to go out, not when it was decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from typing import assert_never

from services.notifier.domain.hours import Hours
from services.notifier.domain.rota import Rota
from services.notifier.domain.values import AlertFacts, Contact, Person, PersonId, Role, Tier, Urgency


class When(StrEnum):
    """At which moment a tier is used for an urgency."""

    NOW = "now"
    WORKING_HOURS = "working-hours"
    DAILY = "daily-digest"
    WEEKLY = "weekly-digest"
    NEVER = "never"


class Digest(StrEnum):
    """The collections in which what does not interrupt is sent."""

    DAILY = "daily"
    WEEKLY = "weekly"
    RETESTS = "retests"


DIGEST_OF: Mapping[When, Digest] = {When.DAILY: Digest.DAILY, When.WEEKLY: Digest.WEEKLY}


@dataclass(frozen=True, slots=True)
class Manner:
    """How an urgency is told: the moment of its page and of its mail."""

    page: When
    mail: When

    def by_tier(self) -> tuple[tuple[Tier, When], ...]:
        """Return the tiers in the order in which they are used."""
        return ((Tier.PAGE, self.page), (Tier.MAIL, self.mail))


LATE = Manner(page=When.NEVER, mail=When.DAILY)


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """Rules and the site's choices: manner per urgency, roles per organ, fall-backs, hours, digest times."""

    manners: Mapping[Urgency, Manner]
    organs: Mapping[str, tuple[Role, ...]]
    default_roles: tuple[Role, ...]
    fall_backs: Mapping[Role, tuple[Role, ...]]
    last_resort: tuple[Role, ...]
    replacements: Mapping[str, Mapping[Role, Role]]
    hours: Hours
    daily_at: time
    weekly_day: int
    weekly_at: time
    retest_roles: tuple[Role, ...] = ()
    ward_roles: Mapping[str, Role] | None = None
    retest_when: When = When.NOW

    def moment(self, when: When, now: datetime) -> datetime | None:
        """Return when something told in this way goes out."""
        match when:
            case When.NOW:
                return now
            case When.WORKING_HOURS:
                return self.hours.next_start(now)
            case When.DAILY:
                return self.hours.next_on_workday(self.daily_at, now)
            case When.WEEKLY:
                return self.hours.next_on(self.weekly_day, self.weekly_at, now)
            case When.NEVER:
                return None
            case _:
                assert_never(when)


@dataclass(frozen=True, slots=True)
class Telling:
    """One person to be told by one contact at `at`; `digest` None means a message of its own."""

    person_id: PersonId
    role: Role
    contact: Contact
    language: str
    at: datetime
    reason: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class NotTold:
    """Somebody, or some role, who is not told, and why; recorded like a telling."""

    role: Role
    person_id: PersonId | None
    reason: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The whole answer for one telling of one alert."""

    tellings: tuple[Telling, ...]
    not_told: tuple[NotTold, ...]


@dataclass(frozen=True, slots=True)
class Staff:
    """Who there is and who is on duty."""

    people: Mapping[PersonId, Person]
    rota: Rota


def roles_for(facts: AlertFacts, rules: RoutingRules) -> tuple[Role, ...]:
    """Return the roles of an alert: those the rule names, else those of its organ, else the default; by arm."""
    named = facts.roles or rules.organs.get(facts.organ or "", ()) or rules.default_roles
    swap = rules.replacements.get(facts.arm or "", {})
    return tuple(dict.fromkeys(swap.get(role, role) for role in named))


def manner_for(facts: AlertFacts, rules: RoutingRules) -> Manner:
    """Return how the alert is told: late facts that may not interrupt go to the daily digest."""
    return rules.manners[facts.urgency] if facts.interrupts else LATE


def route(roles: Sequence[Role], manner: Manner, *, staff: Staff, rules: RoutingRules, now: datetime) -> Routed:
    """Find who is told. Each contact is told once, for the first of its holder's roles."""
    found: dict[Contact, Telling] = {}
    not_told: dict[tuple[Role, PersonId | None, str], NotTold] = {}
    for tier, when in manner.by_tier():
        at = rules.moment(when, now)
        if at is None:
            continue
        for role in roles:
            for answer in _tell_role(role, tier, at, DIGEST_OF.get(when), staff, rules):
                if isinstance(answer, Telling):
                    found.setdefault(answer.contact, answer)
                else:
                    not_told.setdefault((answer.role, answer.person_id, answer.reason), answer)
    return Routed(tuple(found.values()), tuple(not_told.values()))


def _tell_role(
    role: Role, tier: Tier, at: datetime, digest: Digest | None, staff: Staff, rules: RoutingRules
) -> Iterator[Telling | NotTold]:
    """Try the role, then its fall-backs in order, until somebody can be reached."""
    for candidate in _chain(role, rules):
        reached = False
        why = f"on duty for {role}" if candidate == role else f"fall-back for {role}: {candidate}"
        holders = staff.rota.on_duty(candidate, at)
        if not holders:
            yield NotTold(candidate, None, f"nobody holds {candidate} at that time")
        for person_id in holders:
            person = staff.people[person_id]
            contacts = person.reach(tier)
            if not contacts:
                yield NotTold(candidate, person_id, f"has no contact of tier {tier}")
            for contact in contacts:
                reached = True
                yield Telling(person_id, candidate, contact, person.language, at, why, digest)
        if reached:
            return
    yield NotTold(role, None, f"nobody can be reached for {role} at tier {tier}, fall-backs included")


def _chain(role: Role, rules: RoutingRules) -> tuple[Role, ...]:
    return tuple(dict.fromkeys((role, *rules.fall_backs.get(role, ()), *rules.last_resort)))
