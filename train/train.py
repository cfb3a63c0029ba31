"""Train a GPT, and log what a diagnosis needs.

    python train/train.py config/train_shakespeare_char.py --device=cpu --compile=False
    torchrun --nproc_per_node=8 train/train.py config/train_gpt2.py

nanoGPT's command line and console lines; beside them out_dir/run.jsonl, which `gptdiag analyze`
reads. Read main() from the top: set up, then one loop.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from batches import Batches, Dataset, open_dataset
from checkpoint import CheckpointError, keep_best, load, random_state, restore_random_state, save
from inspection import (
    activations,
    gradient_norms,
    noise_scale,
    update_ratios,
    weight_checksum,
    weights,
)
from machine import facts, memory_bytes, peak_tflops, pick_device, rank_times, source_version
from model import GPT, GPT2_SHAPES, GPTConfig, from_gpt2
from optimizer import build_optimizers, learning_rate, restore_optimizers, set_learning_rate
from options import OptionError, Options, parse
from speed import autocast, choose_arithmetic, compiled_step, stored_arithmetic
from torch.nn.parallel import DistributedDataParallel

from gptdiag import __version__
from gptdiag.runlog import RunLog

PRINTED_PEAK = 312e12  # FLOP/s that nanoGPT's printed MFU is divided by, an A100's
GPT2_VOCABULARY = 50304
MANY_EPOCHS = 40  # repetitions of the text from which little more is learnt
CLASSIC = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")


def main(arguments: list[str]) -> int:
    """Run the training and return the exit code."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    say = print if rank == 0 else (lambda *_, **__: None)
    options, given = parse(arguments, say)
    device = options.device = pick_device(options.device)
    if world > 1:
        if device.startswith("cuda"):
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        backend = "nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend if options.backend == "auto" else options.backend)
    if options.gradient_accumulation_steps % world:
        raise OptionError(
            f"gradient_accumulation_steps = {options.gradient_accumulation_steps} cannot be shared "
            f"by {world} processes; try {world * -(-options.gradient_accumulation_steps // world)}"
        )
    micro_batches = options.gradient_accumulation_steps // world  # of this process, per step
    tokens_per_step = options.gradient_accumulation_steps * options.batch_size * options.block_size
    say(f"tokens per iteration will be: {tokens_per_step:,}")

    # Weights are drawn first, batches go on from there: one seed gives what nanoGPT draws.
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    out = Path(options.out_dir)
    dataset = open_dataset(options)
    model, model_args, state = build_model(options, dataset, out, device, say)
    for name, value in model_args.items():  # a loaded model has a shape of its own: log that
        if name in given and value != getattr(options, name):
            say(f"note: {name} = {getattr(options, name)} is ignored: the loaded model has {value}",
                file=sys.stderr)  # fmt: skip
        if hasattr(options, name):
            setattr(options, name, value)
    model.to(device)
    generator = torch.Generator()
    generator.set_state(torch.get_rng_state())
    torch.manual_seed(options.seed + rank)  # each process drops its own activations
    train = Batches(dataset.splits["train"], options, device, generator)

    optimizers = build_optimizers(model, options, device.split(":")[0], say)
    if "optimizer" in state:
        restore_optimizers(optimizers, state)
    arithmetic = stored_arithmetic(state, options) or choose_arithmetic(
        model, options, device, train.example()
    )
    if world > 1:  # all processes must compute alike
        shared = [arithmetic]
        dist.broadcast_object_list(shared)
        arithmetic = shared[0]
    dtype, attention, threads, why = arithmetic
    torch.set_num_threads(threads)
    model.use_plain_attention(attention == "plain")
    scaler = torch.amp.GradScaler(device.split(":")[0], enabled=dtype == "float16")
    step, best_val_loss = state.get("iter_num", 0), float(state.get("best_val_loss", 1e9))
    running_mfu = state.get("running_mfu", -1.0)
    if "data_rng" in state:  # one of our own checkpoints: go on exactly where it stopped
        generator.set_state(state["data_rng"].cpu())
        if state["scaler"]:
            scaler.load_state_dict(state["scaler"])
    first_step = step

    network, whole_step = model, None
    if options.compile:
        say("compiling the model... (takes a ~minute)")
        alone = world == 1 and micro_batches == 1 and dtype != "float16" and len(optimizers) == 1
        if alone and device == "cpu":
            whole_step = compiled_step(model, optimizers[0], options, device, dtype)
        else:
            network = torch.compile(model)
    if world > 1:
        ids = [int(os.environ["LOCAL_RANK"])] if device.startswith("cuda") else None
        network = DistributedDataParallel(network, device_ids=ids)
    peak, peak_source = peak_tflops(device, dtype)
    flops_per_step = model.flops_per_token() * tokens_per_step
    warn_of_repetition(options, dataset, tokens_per_step, say)
    if "rng" in state:  # last, for whatever was drawn meanwhile
        restore_random_state(state["rng"])
    del state

    @torch.no_grad()
    def evaluate() -> dict[str, tuple[float, float | None]]:
        """Return for each split (mean loss, its standard error), on the same batches each time."""
        model.eval()
        found = {}
        for split in ("train", "val"):
            fixed = torch.Generator().manual_seed(options.seed)
            batches = Batches(dataset.splits[split], options, device, fixed)
            losses = torch.zeros(options.eval_iters, device=device)
            for k in range(options.eval_iters):
                with autocast(device, dtype):
                    losses[k] = model(*batches.next())[1]
            several = options.eval_iters > 1
            error = losses.std().item() / options.eval_iters**0.5 if several else None
            found[split] = (losses.mean().item(), error)
        model.train()
        return found

    def write_checkpoint(interrupted: bool = False) -> None:
        checkpoint = {
            "model": model.state_dict(),
            "optimizer": optimizers[0].state_dict(),
            "model_args": model_args,
            "iter_num": step,
            "best_val_loss": best_val_loss,
            "config": vars(options),
            "muon": optimizers[1].state_dict() if len(optimizers) > 1 else None,
            "scaler": scaler.state_dict(),
            "rng": random_state(),
            "data_rng": generator.get_state(),
            "arithmetic": arithmetic,
            "running_mfu": running_mfu,
            "interrupted": interrupted,
        }
        save(out / "ckpt.pt", checkpoint)

    def clock(exact: bool) -> float:
        if exact and device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    stop: list[int] = []  # the signal that asked us to stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: stop.append(got))

    log = RunLog(
        out / ("run.jsonl" if rank == 0 else f"run.rank{rank}.jsonl"),
        first_step=step,
        config=options.logged(),
        system={
            **facts(device), "dtype": dtype, "attention": attention, "threads": threads,
            "arithmetic": why, "world_size": world, "rank": rank, "peak_tflops": peak,
            "peak_source": peak_source, "tokens_per_iter": tokens_per_step,
            "mfu_convention": "mfu_pct against peak_tflops, mfu_ema_pct as nanoGPT (312 TFLOP/s)",
        },
        model={
            "parameters": model.parameter_count(), "vocab_size": model.config.vocab_size,
            "flops_per_token": model.flops_per_token(),
        },
        data={
            "dataset": options.dataset, "dataset_tokens": len(dataset.splits["train"]),
            "val_tokens": len(dataset.splits["val"]), "fingerprint": dataset.fingerprint(),
            **dataset.text_facts(),
            "unigram_entropy": dataset.meta.get("report", {}).get("unigram_entropy"),
        },
        code={"version": __version__, "commit": source_version()},
    )  # fmt: skip
    with log:
        if options.fault:  # for the tests and examples only: break this run on purpose
            from faults import break_run

            break_run(options.fault, log, model, optimizers, train)
        model.train()
        ended = time.perf_counter()
        while True:
            lr = learning_rate(step, options)
            set_learning_rate(optimizers, lr, options)
            eval_ms = save_ms = None

            # Evaluate and save, on clocks of their own.
            if (step % options.eval_interval == 0 or options.eval_only) and rank == 0:
                begun = clock(exact=True)
                losses = evaluate()
                eval_ms = 1000 * (clock(exact=True) - begun)
                (train_loss, train_se), (val_loss, val_se) = losses["train"], losses["val"]
                print(
                    f"step {step}: train loss {train_loss:.4f}, val loss {val_loss:.4f}", flush=True
                )
                log.eval(
                    step, train_loss=train_loss, val_loss=val_loss, train_loss_se=train_se,
                    val_loss_se=val_se, eval_ms=eval_ms,
                )  # fmt: skip
                if val_loss < best_val_loss or options.always_save_checkpoint:
                    best_val_loss = min(val_loss, best_val_loss)
                    if step > first_step:
                        print(f"saving checkpoint to {options.out_dir}", flush=True)
                        begun = time.perf_counter()
                        write_checkpoint()
                        save_ms = 1000 * (time.perf_counter() - begun)
                        log.save(step, path=str(out / "ckpt.pt"), save_ms=save_ms)
            if options.eval_only:
                break

            # One step: batches, forward and backward, update.
            printed = step % options.log_interval == 0
            look = bool(options.inspect_interval) and step % options.inspect_interval == 0
            look = look and step > first_step
            logged = printed or look
            extra: dict[str, float | None] = {}
            data_s = 0.0
            loss = torch.zeros((), device=device)
            old = weights(model) if look else []
            begun = clock(logged)
            for k in range(options.gradient_accumulation_steps):
                got = time.perf_counter()
                first = train.draw()
                if k % world != rank:
                    continue  # another process takes this one
                x, y = train.gather(first)
                data_s += time.perf_counter() - got
                if whole_step:
                    loss, norm = whole_step(x, y, lr)
                    continue
                if world > 1:  # gradients are exchanged once per step
                    network.require_backward_grad_sync = (
                        k + world >= options.gradient_accumulation_steps
                    )
                with autocast(device, dtype):
                    part = network(x, y)[1] / micro_batches
                if world > 1:  # from here on the processes wait for each other
                    worked = clock(logged)
                scaler.scale(part).backward()
                loss += part.detach()
            backward_done = clock(logged)
            if not whole_step:
                for optimizer in optimizers:
                    scaler.unscale_(optimizer)
                if options.grad_clip:
                    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.grad_clip)
                elif logged:
                    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
                if look:
                    extra |= gradient_norms(model)
                for optimizer in optimizers:
                    scaler.step(optimizer)
                scaler.update()
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
            updated = clock(logged)
            if look:
                extra |= update_ratios(model, old) | activations(model, x)
                noise = noise_scale(model, (x, y), norm.item(), tokens_per_step, dtype, scaler)
                extra |= {"noise_scale_tokens": noise, "weight_checksum": weight_checksum(model)}

            # Log.
            now = clock(logged)
            wall_ms, ended = 1000 * (now - ended), now
            if printed and step - first_step >= 5:  # nanoGPT lets the first steps settle
                mfu = flops_per_step / world / (wall_ms / 1000) / PRINTED_PEAK
                running_mfu = mfu if running_mfu < 0 else 0.9 * running_mfu + 0.1 * mfu
            if logged:
                if world > 1:
                    dist.all_reduce(loss)
                    loss /= world
                value, step_ms = loss.item(), 1000 * (updated - begun - data_s)
                forward_ms = update_ms = None
                if not whole_step:  # one compiled graph has no border between the two
                    forward_ms = 1000 * (backward_done - begun - data_s)
                    update_ms = 1000 * (updated - backward_done)
                if printed:
                    say(
                        f"iter {step}: loss {value:.4f}, time {wall_ms:.2f}ms, "
                        f"mfu {running_mfu * 100:.2f}%",
                        flush=True,
                    )
                seconds = (step_ms / 1000) or 1e-9
                log.step(
                    step, loss=value, lr=lr, grad_norm=norm.item(), wall_ms=wall_ms,
                    step_ms=step_ms, data_ms=1000 * data_s, eval_ms=eval_ms, save_ms=save_ms,
                    forward_backward_ms=forward_ms, update_ms=update_ms,
                    tokens=(step + 1) * tokens_per_step, tokens_per_s=tokens_per_step / seconds,
                    mfu_pct=flops_per_step / world / seconds / peak / 1e10 if peak else None,
                    mfu_ema_pct=100 * running_mfu if running_mfu >= 0 else None,
                    mem_bytes=memory_bytes(device), batch_crc32=train.take_fingerprint(),
                    extra=extra or None, **rank_times(worked - begun, device) if world > 1 else {},
                )  # fmt: skip
            step += 1

            asked = stop[0] if stop else 0
            if world > 1:  # all stop after the same step, or the others would wait for ever
                asked = agree(asked, device) if logged else 0
            if asked:  # the step is finished; save it, so that nothing is lost
                if rank == 0:
                    if not options.always_save_checkpoint and (best := keep_best(out / "ckpt.pt")):
                        print(f"the checkpoint with the lowest validation loss stays in {best}")
                    write_checkpoint(interrupted=True)
                    print(f"saving checkpoint to {options.out_dir}")
                    log.save(step, path=str(out / "ckpt.pt"))
                log.end("interrupted", signal.Signals(asked).name)
                return 128 + asked
            if step > options.max_iters:
                break
    if world > 1:
        dist.destroy_process_group()
    return 0


def agree(number: int, device: str) -> int:
    """Return the largest number of all processes."""
    shared = torch.tensor(number, device=device)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return int(shared)


def build_model(options: Options, dataset: Dataset, out: Path, device: str, say) -> tuple:
    """Return (model, the arguments that rebuild it, the checkpoint it is from or {})."""
    if dataset.vocab_size:
        kind = "json" if (dataset.folder / "meta.json").exists() else "pkl"
        say(f"found vocab_size = {dataset.vocab_size} (inside {dataset.folder}/meta.{kind})")
    state: dict = {}
    if options.init_from == "scratch":
        say("Initializing a new model from scratch")
        if not dataset.vocab_size:
            say("defaulting to vocab_size of GPT-2 to 50304 (50257 rounded up for efficiency)")
        size = dataset.vocab_size or GPT2_VOCABULARY
        model = GPT(GPTConfig.of({**vars(options), "vocab_size": size}))
    elif options.init_from == "resume":
        say(f"Resuming training from {options.out_dir}")
        state = load(out / "ckpt.pt", device)
        model = GPT(GPTConfig.of({**state["model_args"], "dropout": options.dropout}))
        model.load_state_dict(state["model"])
    elif options.init_from in GPT2_SHAPES:
        say(f"Initializing from OpenAI GPT-2 weights: {options.init_from}")
        try:
            model = from_gpt2(options.init_from, options.dropout)
        except OSError as error:
            raise OptionError(str(error)) from error
    else:
        names = ", ".join(("scratch", "resume", *GPT2_SHAPES))
        raise OptionError(f"init_from must be one of {names}, not {options.init_from!r}")
    if options.block_size > model.config.block_size:
        raise OptionError(
            f"block_size = {options.block_size} is longer than the {model.config.block_size} "
            "positions of the model"
        )
    if options.block_size < model.config.block_size:
        model.crop_block_size(options.block_size)
    dataset.check_vocabulary(model.config.vocab_size)
    say(f"number of parameters: {model.parameter_count() / 1e6:.2f}M")
    every = vars(model.config)
    modern = any(value for name, value in every.items() if name not in CLASSIC)
    return model, {k: v for k, v in every.items() if modern or k in CLASSIC}, state


def warn_of_repetition(options: Options, dataset: Dataset, tokens_per_step: int, say) -> None:
    """Say so when the run sees its text more often than it can learn from."""
    epochs = tokens_per_step * options.max_iters / len(dataset.splits["train"])
    if epochs > MANY_EPOCHS:
        say(f"note: max_iters = {options.max_iters} repeats the training text {epochs:.0f} times; "
            "watch the validation loss", file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OptionError, CheckpointError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the first step
        sys.exit(130)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"train.py: cannot use{where}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
