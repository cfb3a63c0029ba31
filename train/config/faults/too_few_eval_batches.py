# Two batches per evaluation: its error is larger than what happens between two of them.
# Twin: healthy_chars. Found by: GD206. Cause: few batches. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/too_few_eval_batches.py

out_dir = "out-too_few_eval_batches"
eval_interval = 20
eval_iters = 2
