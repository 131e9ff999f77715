"""Inputs as files beside what comes of them; a file that nobody reads fails."""
