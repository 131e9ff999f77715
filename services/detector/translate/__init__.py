"""Schemas to domain values and back; no decisions."""
