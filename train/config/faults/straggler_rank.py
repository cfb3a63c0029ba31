# Of two processes the second is 8 ms slower, and the first waits for it.
# Twin: healthy_pair. Found by: GD309. From step: 0. Processes: 2.
# Run: gptdiag train config/faults/healthy_pair.py config/faults/straggler_rank.py

out_dir = "out-straggler_rank"
fault = "slow_rank"
