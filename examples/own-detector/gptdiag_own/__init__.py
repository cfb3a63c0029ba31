"""A gptdiag plugin."""
