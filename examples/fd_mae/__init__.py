"""FD-MAE: frequency-decoupled masked auto-encoder, from the layers of skelfreq."""
