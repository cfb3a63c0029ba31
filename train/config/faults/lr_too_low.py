# The learning rate is a hundred times too low: the loss falls, but hardly.
# Twin: healthy_chars. Found by: GD502, GD104. Cause: too low. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/lr_too_low.py

out_dir = "out-lr_too_low"
learning_rate = 3e-5
min_lr = 3e-6
