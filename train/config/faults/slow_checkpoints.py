# A checkpoint of 40 MB every ten steps.
# Twin: healthy_wide. Found by: GD302. Cause: written often. From step: 0.
# Run: gptdiag train config/faults/healthy_wide.py config/faults/slow_checkpoints.py

out_dir = "out-slow_checkpoints"
eval_interval = 10
eval_iters = 1
always_save_checkpoint = True
