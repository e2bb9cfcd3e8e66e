"""Training: samples, losses and loops for the cleaner and the guard."""
