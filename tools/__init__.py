"""What developers run and the services never import."""
