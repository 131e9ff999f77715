"""The demo's own parts: its mail page and what it says on the terminal."""
