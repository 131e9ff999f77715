"""A hospital on virtual time: seeded patients and faults, checked against the promises after every step."""
