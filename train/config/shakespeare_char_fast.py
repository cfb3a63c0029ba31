# The CPU recipe for characters of Shakespeare with what has been learnt since GPT-2: the same width
# and depth reach the same validation loss in a sixth of the steps and less.

out_dir = "out-shakespeare-char-fast"
eval_interval = 275
eval_iters = 20
log_interval = 10
always_save_checkpoint = False

dataset = "shakespeare_char"
gradient_accumulation_steps = 1
batch_size = 12
block_size = 64

n_layer = 4
n_head = 2
n_embd = 128
dropout = 0.0
rotary = True
relu_squared = False  # at this size GELU is better by 0.01 and no slower
qk_norm = True
zero_init = True

optimizer = "muon"
muon_lr = 3e-2  # of the matrices in the blocks
muon_momentum = 0.9
learning_rate = 2e-2  # of embeddings and vectors
lr_schedule = "linear"
warmup_iters = 0
max_iters = 275
lr_decay_iters = 275
min_lr = 0.0
weight_decay = 0.0
grad_clip = 0.0

device = "auto"
compile = False
