"""FS-VAE (ICCV 2025): zero-shot recognition of skeleton actions, in four stages."""
