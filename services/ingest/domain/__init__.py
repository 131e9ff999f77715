"""What a message says: bytes in, values or a named refusal out. Pure: no I/O, no clock."""
