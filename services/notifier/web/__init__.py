"""The worklist: pages and forms for people; no clinical decision is made here."""
