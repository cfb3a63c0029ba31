# 1e3 typed for 1e-3: the weights overflow in the second step.
# Twin: healthy_chars. Found by: GD101. Cause: learning rate is too high. From step: 2.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/lr_typo.py

out_dir = "out-lr_typo"
learning_rate = 1e3
max_iters = 200
lr_decay_iters = 200
