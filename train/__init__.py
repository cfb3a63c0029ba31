"""The built-in trainer's folder, installed as `gptdiag.trainer`. For now it holds the recipes."""
