"""From alerts and retest plans to people."""
