"""Detectors of two runs, one file each, as in `detectors`. They read only a `Pair`."""
