# 40.6 M parameters on one FineWeb file, for a card with 12 GB: 524,288 tokens per step.

out_dir = "out-fineweb-40m"
eval_interval = 500
eval_iters = 200
log_interval = 10

dataset = "fineweb"
gradient_accumulation_steps = 32
batch_size = 16
block_size = 1024

n_layer = 12
n_head = 12
n_embd = 384
dropout = 0.1

learning_rate = 1e-3
min_lr = 1e-4
max_iters = 20000
lr_decay_iters = 20000
warmup_iters = 500
beta2 = 0.99
