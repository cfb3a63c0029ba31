# A sound run with a larger model to compare with: 3.2 M parameters, twenty seconds.
# Data: gptdiag prepare pystdlib

out_dir = "out-healthy_wide"
eval_interval = 50
eval_iters = 5
log_interval = 1
inspect_interval = 0
always_save_checkpoint = False

dataset = "pystdlib"
gradient_accumulation_steps = 1
batch_size = 4
block_size = 64

n_layer = 4
n_head = 4
n_embd = 256
dropout = 0.0

learning_rate = 1e-3
min_lr = 1e-4
warmup_iters = 20
max_iters = 200
lr_decay_iters = 200
beta2 = 0.99

# Clocks are compared, so nothing is chosen by the machine.
device = "cpu"
dtype = "float32"
attention = "fused"
threads = 1
compile = False
