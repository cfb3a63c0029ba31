"""What is measured of a run, one file per quantity, for detectors and summary. Judges nothing."""
