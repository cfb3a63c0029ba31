# The decay ends after a quarter of the run, as in settings copied from a shorter one.
# Twin: healthy_chars. Found by: GD501. Cause: smaller than max_iters. From step: 100.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/decay_too_early.py

out_dir = "out-decay_too_early"
lr_decay_iters = 100
