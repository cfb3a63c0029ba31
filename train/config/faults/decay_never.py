# nanoGPT's decay over 600,000 steps is left in a short run: the rate stays at its peak.
# Twin: healthy_chars. Found by: GD501. Cause: larger than max_iters. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/decay_never.py

out_dir = "out-decay_never"
lr_decay_iters = 600000
