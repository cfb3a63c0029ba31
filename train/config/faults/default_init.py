# torch's initial weights instead of GPT-2's: the loss starts at 50 nats.
# Twin: healthy_chars. Found by: GD105. Cause: initialised too large. From step: 0.
# Run: gptdiag train config/faults/healthy_chars.py config/faults/default_init.py

out_dir = "out-default_init"
fault = "default_init"
