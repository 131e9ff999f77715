"""What other tests lean on, tried itself."""
