# The text is read five times.
# Twin: healthy_chars. Found by: GD205. Cause: text is small. From step: 312.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/repeated_data.py

out_dir = "out-repeated_data"
fault = "few_data"
