"""Schema changes of the notifier's store, applied at start."""
