"""HL7 messages of synthetic patients and what ingest says of each."""
