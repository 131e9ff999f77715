"""Writes a site's folder for tests and the demo: real files of every kind, durations of seconds, invented people.

Law: the services read it as they would a hospital's; nothing is passed to them by any other way.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argon2 import PasswordHasher

AUTHORITY = "HOSP"
"""The assigning authority of the laboratory's PID-3 and of the trial office's token: the same, or two patients."""

TOKEN = "irae-" + "trial-office-" * 3 + "of-the-tests"
PASSWORD = "a-demonstration-only"
"""Everybody's password on the worklist."""

APPROVED = 'source = "the acceptance tests"\napproved = { by = "the acceptance tests", on = 2026-01-01 }'


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the MDT: an id on the rota, a language, roles, and whether they carry a pager."""

    name: str
    language: str
    roles: tuple[str, ...]
    pager: bool = True
    access: tuple[str, ...] = ("mdt",)

    @property
    def mail(self) -> str:
        """Where mails go."""
        return f"{self.name}@hospital.example"

    @property
    def page(self) -> str:
        """Where pages go: an e-mail-to-pager gateway."""
        return f"{self.name}@pager.hospital.example"


LI = Member("li", "zh", ("immunology", "hepatology"))
WANG = Member("wang", "zh", ("immunology", "haematology"))
MEYER = Member("meyer", "en", ("rheumatology", "neurology", "nephrology"))
OKAFOR = Member("okafor", "en", ("oncology", "cardiology", "endocrinology"))
NIGHT = Member("night", "en", ("on-call",))
OFFICE = Member("office", "en", ("trial-coordinator",), pager=False, access=("coordinator",))
STAFF = (LI, WANG, MEYER, OKAFOR, NIGHT, OFFICE)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What of a site differs from one test to another. Durations as the site's files write them (`4s`)."""

    smtp_port: int
    acknowledge_within: str = "15m"
    acknowledgement_holds: str = "8h"
    first_retry: str = "1s"
    longest_retry: str = "2s"
    give_up_after: str = "10m"
    token: str = TOKEN
    staff: tuple[Member, ...] = STAFF
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files, by their path in the folder; they replace ours of the same name."""


def write_site(folder: Path, plan: SitePlan) -> Path:
    """Write the folder and return it."""
    files = {
        "site.toml": 'zone = "Asia/Shanghai"\n',
        "sources.toml": SOURCES,
        "tokens.toml": _tokens(plan),
        "channels.toml": _channels(plan),
        "people.toml": _people(plan),
        "rota.csv": _rota(plan),
        "routing.toml": ROUTING,
        "escalation.toml": _escalation(plan),
    }
    for name, content in (files | dict(plan.files)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return folder


SOURCES = f"""\
[[source]]
name = "lis"
application = "LIS"
facility = "LAB"
authority = "{AUTHORITY}"
zone = "Asia/Shanghai"
"""

ROUTING = f"""\
call_back = "ext. 5500"

[urgency.P2]
criterion = "Page and mail at any hour, so that a test at night says the same as one by day"
page = "now"
mail = "now"
{APPROVED}

[hours]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "23:59"
"""


def _tokens(plan: SitePlan) -> str:
    digest = hashlib.sha256(plan.token.encode()).hexdigest()
    return (
        f'[[token]]\nsha256 = "{digest}"\nsource = "trial-office"\nauthority = "{AUTHORITY}"\nroles = ["coordinator"]\n'
    )


def _channels(plan: SitePlan) -> str:
    def channel(name: str, tier: str) -> str:
        return (
            f'[{name}]\nkind = "smtp"\ntier = "{tier}"\nhost = "127.0.0.1"\nport = {plan.smtp_port}\n'
            'security = "plain"\nsender = "lab-alerts@hospital.example"\ntimeout = "5s"\n\n'
        )

    return channel("mail", "mail") + channel("pager", "page")


def _people(plan: SitePlan) -> str:
    """A cheap hash: the password is printed beside the address, and a test signs in often."""
    password = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    return "".join(_person(member, password) for member in plan.staff)


def _person(member: Member, password: str) -> str:
    contacts = [{"channel": "mail", "address": member.mail}]
    if member.pager:
        contacts.insert(0, {"channel": "pager", "address": member.page})
    listed = ", ".join(f'{{ channel = "{c["channel"]}", address = "{c["address"]}" }}' for c in contacts)
    return (
        f"[people.{member.name}]\nname = {json.dumps(member.name.title())}\n"
        f'language = "{member.language}"\ncontacts = [{listed}]\n'
        f'password = "{password}"\naccess = {json.dumps(member.access)}\n\n'
    )


def _rota(plan: SitePlan) -> str:
    rows = [f"{role},{member.name},daily,00:00,24:00,,,duty" for member in plan.staff for role in member.roles]
    return "\n".join(["role,person,days,from,to,first_day,last_day,kind", *rows]) + "\n"


def _escalation(plan: SitePlan) -> str:
    return f"""\
[ladder.P1]
criterion = "Durations of a test: seconds instead of minutes"
acknowledge_within = "{plan.acknowledge_within}"
acknowledgement_holds = "{plan.acknowledgement_holds}"
steps = [["@alert"], ["@alert", "on-call"]]
{APPROVED}

[sending]
first_retry = "{plan.first_retry}"
longest_retry = "{plan.longest_retry}"
give_up_after = "{plan.give_up_after}"
"""
