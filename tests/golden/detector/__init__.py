"""Heads as an earlier software wrote them."""
