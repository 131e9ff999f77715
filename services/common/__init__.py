"""What the three services share. Law: no clinical word may appear here, and nothing here imports a service."""
