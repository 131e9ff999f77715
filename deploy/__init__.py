"""How the system is started."""
