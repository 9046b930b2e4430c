"""Changes of single expressions in ``skelfreq``, and whether the tests notice them."""
