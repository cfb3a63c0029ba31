# The queue ends the job half-way, while it is still learning.
# Twin: healthy_chars. Found by: GD904, GD108. Cause: ended it. From step: 180.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/asked_to_stop.py

out_dir = "out-asked_to_stop"
fault = "asked_to_stop"
