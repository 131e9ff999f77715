"""A second implementation of the rules, slow and plain, written from the specification and not from the domain code."""
