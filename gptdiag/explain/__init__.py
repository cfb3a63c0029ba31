"""What `gptdiag explain` says: one file per kind of thing, each making a `Page`."""
