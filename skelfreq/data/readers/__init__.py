"""One reader per file format; :mod:`skelfreq.data.registry` lists them."""
