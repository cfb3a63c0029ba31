# Stopped by the queue; the resume finds no weights for embedding and head, and says nothing.
# Twin: healthy_chars. Found by: GD902. Cause: not all weights. From step: 181. Resumed.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/half_loaded.py

out_dir = "out-half_loaded"
fault = "half_loaded"
