"""Pure functions on arrays. They know nothing of logs or runs."""
