# GPT-2 124 M on one FineWeb file, for a card with 12 GB: 524,288 tokens per step.

out_dir = "out-fineweb-124m"
eval_interval = 500
eval_iters = 200
log_interval = 10

dataset = "fineweb"
gradient_accumulation_steps = 64
batch_size = 8
block_size = 1024

n_layer = 12
n_head = 12
n_embd = 768
dropout = 0.0

learning_rate = 6e-4
min_lr = 6e-5
max_iters = 20000
lr_decay_iters = 20000
warmup_iters = 500
beta2 = 0.95
