"""Runs with a fault made on purpose, and their healthy twins."""
