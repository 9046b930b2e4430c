"""Pictures of skeletons, masks, spectra, gains and filters; needs matplotlib (extra ``plot``).

Every function draws into the axes it is given, or into a new figure, and returns the axes;
:func:`animate` returns matplotlib's animation. None of them shows a window. Tensors of torch, on
any device, and arrays of numpy are taken. Nothing else in skelfreq imports this package by itself.
"""

from skelfreq.plotting.clips import animate, plot_skeleton
from skelfreq.plotting.masks import plot_mask
from skelfreq.plotting.spectra import plot_filter, plot_gains, plot_spectrum

__all__ = [
    "animate",
    "plot_filter",
    "plot_gains",
    "plot_mask",
    "plot_skeleton",
    "plot_spectrum",
]
