"""What runs in the notifier's process: consumer, sender, clock, and the service that holds them together."""
