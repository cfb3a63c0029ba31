# nanoGPT's warm-up of 2000 steps is left in a short run: the rate never gets up.
# Twin: healthy_chars. Found by: GD501. Cause: for a longer run. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/warmup_longer_than_run.py

out_dir = "out-warmup_longer_than_run"
warmup_iters = 2000
lr_decay_iters = 600000
