# The predictions of all steps are kept: 0.2 MB more with each.
# Twin: healthy_chars. Found by: GD404. Cause: kept from step to step. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/memory_growth.py

out_dir = "out-memory_growth"
fault = "memory_growth"
