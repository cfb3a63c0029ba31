# An evaluation every ten steps takes a quarter of the time.
# Twin: healthy_chars. Found by: GD301. Cause: includes the evaluation. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/evals_too_often.py

out_dir = "out-evals_too_often"
eval_interval = 10
