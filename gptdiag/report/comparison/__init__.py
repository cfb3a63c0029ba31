"""Comparison to text, one file per renderer. A renderer reads only `Comparison`."""
