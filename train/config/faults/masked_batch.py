# One batch has no target left: its loss is 0 / 0, once.
# Twin: healthy_chars. Found by: GD101. Cause: one bad batch. From step: 180.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/masked_batch.py

out_dir = "out-masked_batch"
fault = "masked_batch"
max_iters = 300
lr_decay_iters = 300
