# Gradients are clipped to a hundredth of their usual norm, in every step.
# Twin: healthy_chars. Found by: GD503. Cause: threshold is low. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/clip_always_active.py

out_dir = "out-clip_always_active"
grad_clip = 0.01
