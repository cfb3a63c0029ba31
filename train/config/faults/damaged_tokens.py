# A few tokens of the text are outside the vocabulary: the run dies when it meets one.
# Twin: healthy_chars. Found by: GD904. Cause: error in the program or its input. From step: 229.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/damaged_tokens.py

out_dir = "out-damaged_tokens"
fault = "damaged_tokens"
