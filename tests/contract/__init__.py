"""One class per port, against the real thing."""
