"""Recipes: config files in nanoGPT's form."""
