from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.routing import LATE, Digest, NotTold, manner_for, roles_for, route
from services.notifier.domain.values import AlertFacts, Role, Tier, Urgency
from tests.unit.notifier.builders import NIGHT, NOW, facts, person, routing, staff

RULES = routing()
HEPATOLOGY, ONCOLOGY = Role("hepatology"), Role("oncology")


@pytest.mark.parametrize(
    ("alert", "roles"),
    [
        pytest.param(facts(), (HEPATOLOGY,), id="named by the rule"),
        pytest.param(facts(roles=()), (HEPATOLOGY, ONCOLOGY), id="by organ"),
        pytest.param(facts(roles=(), organ="spleen"), (ONCOLOGY,), id="unknown organ: the default"),
        pytest.param(facts(roles=(), organ=None), (ONCOLOGY,), id="no organ: the default"),
    ],
)
def test_an_alert_goes_to_the_roles_of_its_rule_or_organ(alert: AlertFacts, roles: tuple[Role, ...]) -> None:
    assert roles_for(alert, RULES) == roles


def test_a_site_may_replace_a_role_for_an_arm() -> None:
    rules = routing(replacements={"chemotherapy": {HEPATOLOGY: ONCOLOGY}})
    assert roles_for(facts(arm="chemotherapy"), rules) == (ONCOLOGY,)
    assert roles_for(facts(arm="immunotherapy"), rules) == (HEPATOLOGY,)


def told(urgency: Urgency, now: datetime, **holders: str) -> list[tuple[str, str, str | None]]:
    routed = route((HEPATOLOGY,), RULES.manners[urgency], staff=staff(**holders), rules=RULES, now=now)
    return [(each.person_id, each.contact.tier, each.digest) for each in routed.tellings]


@pytest.mark.parametrize(
    ("urgency", "expected"),
    [
        pytest.param(Urgency.P1, [("li", "page", None), ("li", "mail", None)], id="P1: page and mail"),
        pytest.param(Urgency.P2, [("li", "page", None), ("li", "mail", None)], id="P2: page in hours, mail"),
        pytest.param(Urgency.P3, [("li", "mail", Digest.DAILY)], id="P3: daily digest"),
        pytest.param(Urgency.P4, [("li", "mail", Digest.WEEKLY)], id="P4: weekly digest"),
    ],
)
def test_the_urgency_decides_how(urgency: Urgency, expected: list[tuple[str, str, str | None]]) -> None:
    assert told(urgency, NOW, hepatology="li") == expected


def test_at_night_p2_mails_now_and_pages_when_working_hours_begin() -> None:
    routed = route((HEPATOLOGY,), RULES.manners[Urgency.P2], staff=staff(hepatology="li"), rules=RULES, now=NIGHT)
    page, mail = routed.tellings
    assert (mail.at, page.at.astimezone(RULES.hours.zone).isoformat()) == (NIGHT, "2026-03-05T08:00:00+08:00")


def test_a_role_nobody_holds_falls_to_its_fall_back_visibly() -> None:
    routed = route(
        (HEPATOLOGY,), RULES.manners[Urgency.P1], staff=staff(gastroenterology="wang"), rules=RULES, now=NIGHT
    )
    assert {each.person_id for each in routed.tellings} == {"wang"}
    assert {each.reason for each in routed.tellings} == {"fall-back for hepatology: gastroenterology"}
    assert routed.not_told == (NotTold(HEPATOLOGY, None, "nobody holds hepatology at that time"),)


def test_somebody_without_a_pager_falls_to_the_next_for_the_page_and_is_mailed() -> None:
    people = {"li": person("li", Tier.MAIL)}
    who = staff(people, hepatology="li", on_call="night")
    routed = route((HEPATOLOGY,), RULES.manners[Urgency.P1], staff=who, rules=RULES, now=NOW)
    assert [(each.person_id, each.contact.tier) for each in routed.tellings] == [
        ("night", Tier.PAGE),
        ("li", Tier.MAIL),
    ]
    assert any(each.reason == "has no contact of tier page" for each in routed.not_told)


def test_when_nobody_at_all_can_be_reached_that_is_said() -> None:
    routed = route((HEPATOLOGY,), RULES.manners[Urgency.P1], staff=staff(oncology="li"), rules=RULES, now=NOW)
    assert routed.tellings == ()
    assert any("fall-backs included" in each.reason for each in routed.not_told)


def test_somebody_with_two_roles_is_told_once() -> None:
    who = staff(hepatology="li", oncology="li wang")
    routed = route((HEPATOLOGY, ONCOLOGY), RULES.manners[Urgency.P1], staff=who, rules=RULES, now=NOW)
    assert [each.contact.address for each in routed.tellings] == [
        "li@page.example",
        "wang@page.example",
        "li@mail.example",
        "wang@mail.example",
    ]


def test_late_facts_go_to_the_digest_unless_p1_and_newest() -> None:
    assert manner_for(facts(late=True, newest=False), RULES) is LATE
    assert manner_for(facts(late=True, urgency=Urgency.P2), RULES) is LATE
    assert manner_for(facts(late=True, newest=True), RULES) is RULES.manners[Urgency.P1]


names = st.lists(st.sampled_from(["li", "wang", "meyer"]), max_size=3, unique=True).map(" ".join)


@given(names, names, names, st.sampled_from(Urgency), st.sampled_from([NOW, NIGHT]))
def test_every_role_is_answered_somebody_is_told_or_it_is_on_record(
    hepatology: str, gastroenterology: str, on_call: str, urgency: Urgency, now: datetime
) -> None:
    who = staff(hepatology=hepatology, gastroenterology=gastroenterology, on_call=on_call)
    routed = route((HEPATOLOGY,), RULES.manners[urgency], staff=who, rules=RULES, now=now)
    assert bool(routed.tellings) == bool(hepatology or gastroenterology or on_call)
    assert routed.tellings or routed.not_told
    addresses = [(each.contact.channel, each.contact.address) for each in routed.tellings]
    assert len(addresses) == len(set(addresses))
    assert all(each.at >= now for each in routed.tellings)
