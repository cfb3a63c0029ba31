# The targets are not shifted: the model is asked for the token it sees.
# Twin: healthy_chars. Found by: GD204, GD105. Cause: sees its target. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/targets_are_inputs.py

out_dir = "out-targets_are_inputs"
fault = "targets_are_inputs"
max_iters = 200
lr_decay_iters = 200
