"""The notifier's decisions, by themselves."""
