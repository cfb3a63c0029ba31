# The validation text was tokenised with another vocabulary.
# Twin: healthy_chars. Found by: GD201, GD202. Cause: tokenised differently. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/wrong_vocabulary.py

out_dir = "out-wrong_vocabulary"
fault = "other_vocabulary"
max_iters = 300
lr_decay_iters = 300
