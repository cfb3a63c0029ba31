# Python's own source, characters, 0.8 M parameters: under a minute on a laptop's CPU.
# Data: gptdiag prepare pystdlib

out_dir = "out-cpu-tiny"
eval_interval = 200
eval_iters = 20
log_interval = 1
always_save_checkpoint = False

dataset = "pystdlib"
gradient_accumulation_steps = 1
batch_size = 12
block_size = 64

n_layer = 4
n_head = 4
n_embd = 128
dropout = 0.0

learning_rate = 1e-3
min_lr = 1e-4
max_iters = 800
lr_decay_iters = 800
warmup_iters = 50
beta2 = 0.99

device = "auto"
compile = False
