# Every 97th batch is no text: the loss jumps and comes back.
# Twin: healthy_chars. Found by: GD103. Cause: unusual text. From step: 96.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/damaged_batches.py

out_dir = "out-damaged_batches"
fault = "damaged_batches"
