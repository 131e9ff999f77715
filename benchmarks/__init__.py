"""Figures with their conditions, beside named baselines."""
