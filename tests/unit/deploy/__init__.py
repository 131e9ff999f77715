"""Tests of how the system is started."""
