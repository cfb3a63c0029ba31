# The validation text is the training text.
# Twin: healthy_chars. Found by: GD204. Cause: same text. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/label_leak.py

out_dir = "out-label_leak"
fault = "val_is_train"
