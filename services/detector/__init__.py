"""From clinical events to alerts and retest plans."""
