"""The notifier on a real broker."""
