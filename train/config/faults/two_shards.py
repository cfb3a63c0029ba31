# Two kinds of text are read in turns instead of mixed: the loss goes up and down.
# Twin: healthy_chars. Found by: GD107. Cause: two kinds of text. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/two_shards.py

out_dir = "out-two_shards"
fault = "two_shards"
