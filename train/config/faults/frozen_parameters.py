# The optimizer holds copies of the weights: nothing learns.
# Twin: healthy_chars. Found by: GD104. Cause: not updated. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/frozen_parameters.py

out_dir = "out-frozen_parameters"
fault = "frozen_parameters"
max_iters = 200
lr_decay_iters = 200
