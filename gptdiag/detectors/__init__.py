"""Detectors, one file each: documentation, options, decision, remedy. They read only `Run`."""
