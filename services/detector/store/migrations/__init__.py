"""How the tables of the detector's store came to be, step by step."""
