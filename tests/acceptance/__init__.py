"""Three real processes on a real broker, seen only from outside."""
