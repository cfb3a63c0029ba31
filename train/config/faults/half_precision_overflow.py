# float16 with weights too large for it: the scaler skips updates. Not tried yet.
# Twin: healthy_half. Found by: GD406, GD101. Cause: float16 overflow. From step: 0.
# Run: gptdiag train config/faults/healthy_half.py config/faults/half_precision_overflow.py

out_dir = "out-half_precision_overflow"
fault = "default_init"
learning_rate = 3e-2
