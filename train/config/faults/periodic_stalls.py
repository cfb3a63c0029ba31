# Every 45 steps something else holds the machine for a sixth of a second.
# Twin: healthy_chars. Found by: GD304. Cause: at regular steps. From step: 44.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/periodic_stalls.py

out_dir = "out-periodic_stalls"
fault = "periodic_stalls"
