"""What the detector decides, without knowing of any clock, file, topic or table."""
