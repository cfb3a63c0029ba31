# The learning rate is sixty times too high: the loss falls at first, then climbs and stays up.
# Twin: healthy_chars. Found by: GD102. Cause: learning rate is too high. From step: 100.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/lr_too_high.py

out_dir = "out-lr_too_high"
learning_rate = 0.2
warmup_iters = 200
min_lr = 0.1
