# Characters of Shakespeare: a small model on a small text, minutes on one GPU.
# It overfits on purpose: its best validation loss, about 1.47, lies near step 1750.

out_dir = "out-shakespeare-char"
eval_interval = 250
eval_iters = 200
log_interval = 10
always_save_checkpoint = False  # keep the best model, not the last

dataset = "shakespeare_char"
gradient_accumulation_steps = 1
batch_size = 64
block_size = 256  # characters of context

n_layer = 6
n_head = 6
n_embd = 384
dropout = 0.2

learning_rate = 1e-3  # small models bear a high rate
min_lr = 1e-4
max_iters = 5000
lr_decay_iters = 5000  # decay until the end
warmup_iters = 100
beta2 = 0.99  # few tokens per step, so a longer memory
