"""The published language: every message that travels on a topic, and the topics themselves."""
