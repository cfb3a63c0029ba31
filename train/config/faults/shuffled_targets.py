# Inputs and targets are shuffled apart: the loss stops at the entropy of single tokens.
# Twin: healthy_chars. Found by: GD104. Cause: targets do not belong. From step: 50.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/shuffled_targets.py

out_dir = "out-shuffled_targets"
fault = "shuffled_targets"
