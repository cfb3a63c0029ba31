# A sound run to compare with: Python's own source, characters, 0.23 M parameters, ten seconds.
# Data: gptdiag prepare pystdlib

out_dir = "out-healthy_chars"
eval_interval = 50
eval_iters = 6
log_interval = 1
inspect_interval = 0
always_save_checkpoint = False

dataset = "pystdlib"
gradient_accumulation_steps = 1
batch_size = 8
block_size = 64

n_layer = 2
n_head = 4
n_embd = 96
dropout = 0.0

learning_rate = 3e-3
min_lr = 3e-4
warmup_iters = 30
max_iters = 400
lr_decay_iters = 400
beta2 = 0.99

# Clocks are compared, so nothing is chosen by the machine.
device = "cpu"
dtype = "float32"
attention = "fused"
threads = 1
compile = False
