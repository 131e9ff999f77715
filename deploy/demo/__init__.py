"""`make run`: the whole loop on one machine with a simulated ward, on a terminal."""
