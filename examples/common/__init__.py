"""What the examples share: settings, run folders, training, many devices, probes, studies."""
