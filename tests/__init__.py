"""Tests; the kinds are described in ARCHITECTURE.md."""
