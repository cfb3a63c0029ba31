# The decay ends early and at zero: three quarters of the run teach nothing.
# Twin: healthy_chars. Found by: GD501. Cause: smaller than max_iters. From step: 100.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/lr_ends_at_zero.py

out_dir = "out-lr_ends_at_zero"
lr_decay_iters = 100
min_lr = 0.0
