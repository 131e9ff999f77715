"""Pages of docs/ that are written from what the programs themselves use."""
