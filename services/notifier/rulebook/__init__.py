"""Rules and site files, read strictly into domain values."""
