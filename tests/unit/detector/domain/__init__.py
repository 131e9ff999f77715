"""The detector's pure core, part by part."""
