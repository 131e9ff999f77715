"""Ingest in process."""
