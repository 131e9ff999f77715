"""From the hospital's feeds to clinical events."""
