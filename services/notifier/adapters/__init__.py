"""The ways out to people: one class per channel, all with the same `send(item) -> Outcome`."""
