# A context of a single token: what it can tell is learnt soon, the rest never.
# Twin: healthy_chars. Found by: GD106. Cause: what its size. From step: 200.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/context_too_short.py

out_dir = "out-context_too_short"
block_size = 1
batch_size = 512
