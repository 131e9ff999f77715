"""The detector's store: facts as rows, a small head per patient, what is due, what is still to be said."""
