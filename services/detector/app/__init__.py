"""Batch in, decisions, one transaction, outbox; what time makes due. Nothing clinical here, and nothing of Faust."""
