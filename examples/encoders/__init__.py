"""Around an encoder: poolings, contrast, fine-tuning, shipped weights, tables of results."""
