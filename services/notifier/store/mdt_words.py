"""Words of the MDT about an episode, kept in the audit and published as clinical events."""

from schemas.clinical_event_v1 import EpisodeClosed, EpisodeConfirmed, Outcome
from services.common.identifiers import stable_id
from services.notifier.store.acting import Acting

SOURCE = "mdt"


def close(
    acting: Acting,
    patient_ref: str,
    *,
    episode_id: str | None,
    rule_id: str | None,
    outcome: Outcome,
    by: str,
    second_reader: str | None = None,
) -> str:
    """Close an episode, or the watch of one rule, with an outcome; returns the event's id.

    Raises ValueError unless exactly one of episode and rule is named.
    """
    if (episode_id is None) == (rule_id is None):
        raise ValueError("close either an episode or the watch of a rule")
    scope = episode_id or rule_id or ""
    event_id = stable_id("episode-closed", patient_ref, scope, by, acting.now.isoformat())
    event = EpisodeClosed(
        event_id=event_id,
        patient_ref=patient_ref,
        source=SOURCE,
        received_at=acting.now,
        episode_id=episode_id,
        rule_id=rule_id,
        outcome=outcome,
        by=by,
        second_reader=second_reader,
        at=acting.now,
    )
    acting.say(event_id, acting.topics.clinical_events, patient_ref, event)
    acting.note(by, "closed", patient_ref=patient_ref, detail=f"{scope} {outcome}")
    return event_id


def confirm(acting: Acting, patient_ref: str, episode_id: str, *, by: str) -> str:
    """Confirm that an episode goes on; returns the event's id."""
    event_id = stable_id("episode-confirmed", patient_ref, episode_id, by, acting.now.isoformat())
    event = EpisodeConfirmed(
        event_id=event_id,
        patient_ref=patient_ref,
        source=SOURCE,
        received_at=acting.now,
        episode_id=episode_id,
        by=by,
        at=acting.now,
    )
    acting.say(event_id, acting.topics.clinical_events, patient_ref, event)
    acting.note(by, "confirmed", patient_ref=patient_ref, detail=episode_id)
    return event_id
