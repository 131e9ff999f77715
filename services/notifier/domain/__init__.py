"""What the notifier decides: who is told, when, how again. Pure."""
