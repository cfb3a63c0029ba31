# No warm-up: the first steps are too large, which costs 0.2 nats until the end.
# Twin: healthy_chars. Found by: GD501, GD502, GD103. Cause: warmup_iters is 0. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/no_warmup.py

out_dir = "out-no_warmup"
warmup_iters = 0
