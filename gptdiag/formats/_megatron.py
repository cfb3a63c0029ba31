"""What Megatron-LM and GPT-NeoX share: the argument block, processes, checkpoints, validation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gptdiag.formats._console import NUMBER, event, happenings, literal, number
from gptdiag.record import Line, Record, Value

# The arguments of Megatron-LM -> canonical settings that mean the same.
ARGUMENTS = {
    "lr": "learning_rate",
    "min_lr": "min_lr",
    "train_iters": "max_iters",
    "lr_warmup_iters": "warmup_iters",
    "lr_decay_iters": "lr_decay_iters",
    "weight_decay": "weight_decay",
    "adam_beta1": "beta1",
    "adam_beta2": "beta2",
    "clip_grad": "grad_clip",
    "gradient_clipping": "grad_clip",
    "micro_batch_size": "batch_size",
    "train_micro_batch_size_per_gpu": "batch_size",
    "seq_length": "block_size",
    "num_layers": "n_layer",
    "num_attention_heads": "n_head",
    "hidden_size": "n_embd",
    "hidden_dropout": "dropout",
    "eval_interval": "eval_interval",
    "eval_iters": "eval_iters",
    "log_interval": "log_interval",
    "save_interval": "save_interval",
    "padded_vocab_size": "vocab_size",
}
SHAPE = ("num_layers", "num_attention_heads", "hidden_size")  # of a GPT-2, or none
SCHEDULE = ("lr_warmup_iters", "lr_decay_iters")  # 0 and None mean something else is given

_BEGIN = re.compile(r"-{6,} arguments -{6,}")
_END = re.compile(r"-{6,} end of arguments -{6,}")
_ARGUMENT = re.compile(r"^(?: {0,4}\S{1,40}: ?)? {2,}([A-Za-z]\w*) \.{2,} ?(.*)$")
_NEOX_VALUE = re.compile(r"^((?:.*[^.])?)\.{2,}(?:updated|default)$")
_VALIDATION = re.compile(
    r"\bvalid(?:ation)? (?:loss|results) at (?:iteration (\d{1,15})|the end of training)([^|]*)\|"
    rf"(?:.*\|)? *lm[ _]loss value: ({NUMBER}) *\|"
)
_ITERATIONS = re.compile(r"setting training iterations to (\d{1,15})")
_VOCABULARY = re.compile(r"padded vocab \(size: \d+\).*\(new size: (\d{1,15})\)")
_PARAMETERS = re.compile(r"TOTAL_PARAMS=(\d{1,18})|parallel rank \(0, 0\): (\d{1,18})")
_TYPE = re.compile(r"using torch\.(float16|bfloat16|float32) for parameters")
_LOADED = re.compile(
    r"successfully loaded checkpoint .*at iteration (\d{1,15})|loaded .*global step (\d{1,15})"
)
_SAVED = re.compile(r"successfully saved checkpoint (?:at|from) iteration +(\d{1,15})")
_RANDOM = re.compile(r"will not load any checkpoints and will start from random")
_OVER = re.compile(r"\[after training is done\]|exiting program at iteration")
OVERFLOW = re.compile(r"Overflow detected\. Skipping step|OVERFLOW! Rank \d+ Skipping step")
_MARKS = (
    "arguments -",
    "valid",
    "setting training",
    "padded vocab",
    "PARAMS=",
    "parallel rank (0, 0)",
    "using torch.",
    "checkpoint",
    "global step",
    "after training",
    "exiting program",
)


class Surroundings:
    """Reads what stands between the step lines; carries the arguments until the block ends."""

    def __init__(self) -> None:
        self.block: dict[str, Value] | None = None  # inside the argument block
        self.sequence: float | None = None  # tokens of a sample
        self.resumed = 0  # iteration of the checkpoint this process began with
        self._evaluated: int | None = None
        self._parallel = 1  # ranks that share the parameters of a model
        self.last_step = 0

    def read(self, line: Line) -> Iterator[Record]:
        """Yield what the line tells, the trainer's own things first."""
        text = line.text
        if self.block is not None:
            argument = _ARGUMENT.match(text)
            if argument:
                yield from self._argument(line, argument[1], argument[2].strip())
                return
        if any(mark in text for mark in _MARKS):
            told = list(self._told(line))
            if told:
                yield from told
                return
        yield from happenings(line)

    def _argument(self, line: Line, name: str, text: str) -> Iterator[Record]:
        neox = _NEOX_VALUE.match(text)
        value = _literal(neox[1] if neox else text)
        if self.block is None or value is None:
            return
        self.block[name] = value
        if name in SHAPE or name in SCHEDULE:
            return  # what they mean shows when all arguments are known
        values = {ARGUMENTS.get(name, name): value}
        if name in ("fp16", "bf16", "params_dtype") and value is not False:
            dtype = {"fp16": "float16", "bf16": "bfloat16"}.get(name, str(value))
            values = {"dtype": dtype.removeprefix("torch.")}
        if name == "lr_decay_style":
            values["decay_lr"] = value != "constant"
        yield Record("config", line.no, None, values)

    def _told(self, line: Line) -> Iterator[Record]:
        text = line.text
        validation = _VALIDATION.search(text)
        if validation:
            yield from self._validation(line, validation)
        elif _BEGIN.search(text):
            self.block, self.resumed = {}, 0
            yield event(line, "process_start", "the arguments are printed")
        elif _END.search(text):
            yield from self._shape(line)
            yield from self._end_of_block(line)
        for pattern, name in ((_ITERATIONS, "max_iters"), (_VOCABULARY, "vocab_size")):
            match = pattern.search(text)
            if match:
                yield Record("config", line.no, None, {name: int(match[1])})
        dtype, count = _TYPE.search(text), _PARAMETERS.search(text)
        if dtype:
            yield Record("config", line.no, None, {"dtype": dtype[1]})
        if count and (count[1] or self._parallel == 1):
            yield Record("system", line.no, None, {"parameters": int(count[1] or count[2])})
        yield from self._checkpoints(line)

    def _checkpoints(self, line: Line) -> Iterator[Record]:
        loaded, saved = _LOADED.search(line.text), _SAVED.search(line.text)
        if loaded:
            self.resumed = int(loaded[1] or loaded[2])
            if self.resumed:
                yield event(line, "from_checkpoint", loaded[0], self.resumed)
        elif saved:
            yield event(line, "save", saved[0], int(saved[1]))
        elif _RANDOM.search(line.text):
            yield event(line, "from_scratch", "no checkpoint was found")
        elif _OVER.search(line.text):
            yield event(line, "end", line.text.strip())

    def _shape(self, line: Line) -> Iterator[Record]:
        """Yield the shape of the model, under canonical names if it is that of a GPT-2."""
        block = self.block or {}
        hidden = block.get("hidden_size")
        special = ("swiglu", "num_experts", "group_query_attention", "gated_linear_unit")
        other = any(block.get(name) not in (None, False, 1) for name in special)
        other |= block.get("untie_embeddings_and_output_weights") is True
        other |= block.get("no_weight_tying") is True
        wide = block.get("ffn_hidden_size")
        if isinstance(hidden, int) and wide is not None:
            other |= wide != 4 * hidden
        shape = {(n if other else ARGUMENTS[n]): block[n] for n in SHAPE if n in block}
        if shape:
            yield Record("config", line.no, None, shape)

    def _end_of_block(self, line: Line) -> Iterator[Record]:
        """Yield what only all arguments together tell: the schedule, the tokens of a step."""
        block, self.block = self.block or {}, None
        schedule: dict[str, Value] = {}
        warmup = _whole(block, "lr_warmup_iters")
        if warmup or not (block.get("lr_warmup_samples") or block.get("lr_warmup_fraction")):
            schedule["warmup_iters"] = warmup
        decaying = block.get("lr_decay_style") in ("cosine", "linear")
        decay = _whole(block, "lr_decay_iters")
        if decaying and not block.get("lr_decay_samples"):
            schedule["lr_decay_iters"] = decay or _whole(block, "train_iters")
        schedule = {name: value for name, value in schedule.items() if value is not None}
        if schedule:
            yield Record("config", line.no, None, schedule)
        batch = _whole(block, "global_batch_size") or _whole(block, "train_batch_size")
        sequence = _whole(block, "seq_length")
        if sequence:
            self.sequence = float(sequence)
            if batch and not block.get("rampup_batch_size"):
                yield Record("system", line.no, None, {"tokens_per_iter": batch * sequence})
        self._parallel = (_whole(block, "tensor_model_parallel_size") or 1) * (
            _whole(block, "pipeline_model_parallel_size") or 1
        )

    def _validation(self, line: Line, match: re.Match[str]) -> Iterator[Record]:
        step = int(match[1]) if match[1] else self.last_step
        again = step == self._evaluated
        if again and not match[1]:
            return  # the end of training repeats the last evaluation
        which = re.sub(r"\W+", "_", match[2]).strip("_").lower()
        self._evaluated = step
        name = f"val_loss_{which}"[:60] if again and which else "val_loss"
        yield Record("eval", line.no, step, {name: number(match[3])})


def max_iters(line: Line, total: int) -> Record:
    """Return the record of the last iteration that a step line names."""
    return Record("config", line.no, None, {"max_iters": total})


def _whole(block: Mapping[str, Value], name: str) -> int | None:
    value = block.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _literal(text: str) -> Value:
    """Return an argument as a number, a truth value or text; None for an argument not given."""
    value = literal(text)
    if text in ("None", ""):
        return None
    return value[:200] if isinstance(value, str) else value
