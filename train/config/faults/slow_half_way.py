# Each step takes 3 ms longer from the middle on, as on a machine that got too hot.
# Twin: healthy_chars. Found by: GD305. Cause: device heats up. From step: 200.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/slow_half_way.py

out_dir = "out-slow_half_way"
fault = "slow_half_way"
