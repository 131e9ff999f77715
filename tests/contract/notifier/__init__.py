"""The ways out to people, against real servers."""
