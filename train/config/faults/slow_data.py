# Each step waits 8 ms for its batch, as from a network disk.
# Twin: healthy_chars. Found by: GD307. Cause: batch is made after. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/slow_data.py

out_dir = "out-slow_data"
fault = "slow_data"
