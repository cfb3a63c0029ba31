# GPT-2 124M on OpenWebText: about four days on 8 A100s to a validation loss near 2.85.

batch_size = 12  # micro-batch per device
block_size = 1024
gradient_accumulation_steps = 5 * 8  # 12 * 1024 * 40 = 491,520 tokens per step

max_iters = 600000  # 300 B tokens
lr_decay_iters = 600000

eval_interval = 1000
eval_iters = 200
log_interval = 10

weight_decay = 1e-1
