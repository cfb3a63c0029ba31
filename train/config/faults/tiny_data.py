# The text is far too short for the model, which learns it by heart.
# Twin: healthy_chars. Found by: GD201. Cause: repeated too often. From step: 100.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/tiny_data.py

out_dir = "out-tiny_data"
fault = "tiny_data"
