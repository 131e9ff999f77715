"""What ingest speaks with: Kafka, MLLP connections, HTTP clients, the site's files."""
