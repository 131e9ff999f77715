import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.dedup import Reason, Said, needs_sending
from services.notifier.domain.values import Action, Urgency
from tests.unit.notifier.builders import facts

STANDS = Said(seq=5, stands=True, urgency=Urgency.P2, level=2)
ENDED = Said(seq=5, stands=False, urgency=Urgency.P2, level=2)


@pytest.mark.parametrize(
    ("previous", "changed", "reason"),
    [
        pytest.param(None, {}, Reason.FIRST, id="never heard of"),
        pytest.param(None, {"action": Action.ESCALATED}, Reason.FIRST, id="the raising was missed"),
        pytest.param(None, {"action": Action.WITHDRAWN}, Reason.NEVER_SAID, id="withdrawn before it was said"),
        pytest.param(STANDS, {"seq": 5}, Reason.REPEATED, id="the same message again"),
        pytest.param(STANDS, {"seq": 4, "urgency": Urgency.P1}, Reason.OLD, id="worse, but older"),
        pytest.param(STANDS, {"urgency": Urgency.P1, "level": 1}, Reason.WORSE, id="more urgent at a lower level"),
        pytest.param(STANDS, {"urgency": Urgency.P2, "level": 3}, Reason.WORSE, id="higher level, same urgency"),
        pytest.param(STANDS, {"urgency": Urgency.P2, "level": 2}, Reason.SAME, id="as before"),
        pytest.param(
            STANDS, {"urgency": Urgency.P2, "level": 2, "action": Action.REVISED}, Reason.LESS, id="revised evidence"
        ),
        pytest.param(STANDS, {"urgency": Urgency.P3, "level": 3}, Reason.LESS, id="less urgent"),
        pytest.param(STANDS, {"urgency": Urgency.P2, "level": 1}, Reason.LESS, id="lower level"),
        pytest.param(STANDS, {"action": Action.WITHDRAWN}, Reason.ENDED, id="withdrawn"),
        pytest.param(STANDS, {"action": Action.CLEARED}, Reason.ENDED, id="cleared"),
        pytest.param(STANDS, {"action": Action.MOVED}, Reason.ENDED, id="moved to a merged patient"),
        pytest.param(ENDED, {"action": Action.CLEARED}, Reason.NEVER_SAID, id="ended twice"),
        pytest.param(ENDED, {"urgency": Urgency.P2}, Reason.FIRST, id="stands again"),
        pytest.param(STANDS, {"live": False}, Reason.SHADOW, id="shadow"),
    ],
)
def test_what_is_said_depends_on_what_was_said(
    previous: Said | None, changed: dict[str, object], reason: Reason
) -> None:
    assert needs_sending(previous, facts(**{"seq": 9} | changed)) is reason


messages = st.builds(
    facts,
    seq=st.integers(1, 30),
    action=st.sampled_from(Action),
    urgency=st.sampled_from(Urgency),
    level=st.integers(1, 4),
)


@given(st.lists(messages, max_size=40), st.data())
def test_a_message_taken_twice_says_nothing_the_second_time(stream: list[object], data: st.DataObject) -> None:
    previous: Said | None = None
    for alert in stream:
        first = needs_sending(previous, alert)  # type: ignore[arg-type]
        if first not in (Reason.OLD, Reason.REPEATED):
            previous = Said(alert.seq, not alert.action.ends, alert.urgency, alert.level)  # type: ignore[attr-defined]
        assert not needs_sending(previous, alert).is_said  # type: ignore[arg-type]
