"""The notifier in process."""
