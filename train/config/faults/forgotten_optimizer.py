# Stopped by the queue and resumed without the optimizer's averages.
# Twin: healthy_chars. Found by: GD902. From step: 181. Resumed.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/forgotten_optimizer.py

out_dir = "out-forgotten_optimizer"
fault = "forgotten_optimizer"
