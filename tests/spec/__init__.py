"""The clinical specification: tables in, alerts out. `make docs` turns the names into docs/specification.md."""
