"""Lines of an unknown but regular form are read together, and mean what they mean one by one."""

from __future__ import annotations

import time

import pytest

from gptdiag.formats._learned import learn
from gptdiag.reader import numbered
from gptdiag.record import Rows, expand
from gptdiag.registry import find_format
from tests.helpers import source_text

FORKS = (
    "iter {n}: loss {x:.4f}, time 30.50ms, mfu 11.20%, lr 0.001000, grad_norm 0.460",
    "iter {n}: loss {x:.4f} BPC, time 1.25s, 16,384 tok/s",
    "iter {n:5d} | loss {x:.4f} | lr {x:.2e}",
    "iter {n}/50000: loss {x:.4f}, time 30.50ms",
)
PAIRS = (
    "step={n} loss={x:.4f} dt=120.8 lr=1e-3",
    "step  {n}  loss {x:.4f}",
    "step={n} loss={x:.4f} train_loss={y:.3f} val_loss={y:.3f}",
)


def both_ways(name: str, form: str, odd: str = "") -> None:
    lines = [form.format(n=n, x=3 - n / 1e4, y=3 - n // 100 / 1e3) for n in range(3000)]
    if odd:
        lines[1500] = odd
    text, format = source_text("\n".join(lines) + "\n"), find_format(name)
    items = list(format.parse(numbered(text)))
    assert any(isinstance(item, Rows) for item in items)

    def records(found: list) -> list:
        seen = [r for r in expand(found) if getattr(r, "kind", "") in ("step", "eval")]
        return sorted((r.line, r.kind, r.step, repr(sorted(r.values.items()))) for r in seen)

    alone, shown = [], None
    for line in numbered(text):
        for record in expand(format.parse([line])):
            if getattr(record, "kind", "") == "eval":
                if record.values == shown:
                    continue
                shown = record.values
            alone.append(record)
    assert records(items) == records(alone)


@pytest.mark.parametrize("form", FORKS)
@pytest.mark.parametrize("odd", ["", "iter 1500: loss nan, time 3.00ms, mfu -100.00%", "hello"])
def test_lines_of_a_fork_read_together_and_alone(form: str, odd: str) -> None:
    both_ways("nanogpt", form, odd)


@pytest.mark.parametrize("more", ["", ", lr 0.001"])
@pytest.mark.parametrize(
    "odd", ["", "iter 700: loss nan, time 30.50ms, mfu 11.20%", "iter 700: lo"]
)
def test_an_mfu_that_is_not_measured_yet_still_tells_of_each_process(more: str, odd: str) -> None:
    form = "iter {0}: loss 3.1, time 30.50ms, mfu {1}%" + more
    steps = [*range(500), *range(400, 900)]
    lines = [form.format(n, -100.0 if k in (0, 1, 500, 501) else 11.2) for k, n in enumerate(steps)]
    if odd:
        lines[800] = odd
    items = list(find_format("nanogpt").parse(numbered(source_text("\n".join(lines) + "\n"))))
    assert any(isinstance(item, Rows) for item in items)
    found = [i for i in items if getattr(i, "kind", "") == "event"]
    assert [event.line for event in found] == [1, 501]
    read = [r for r in expand(items) if getattr(r, "kind", "") == "step"]
    assert len(read) == 1000 - odd.endswith("lo")
    assert sum("mfu_ema_pct" in record.values for record in read) == 996 - odd.endswith("lo")


@pytest.mark.parametrize("form", PAIRS)
@pytest.mark.parametrize("odd", ["", "step=1500 loss=nan", "hello"])
def test_pairs_read_together_and_alone(form: str, odd: str) -> None:
    both_ways("key_value", form, odd)


def test_a_form_that_does_not_tell_what_its_numbers_mean_is_not_learnt() -> None:
    assert learn("step 1 loss 2", lambda text: {"step": 1.0, "loss": 2.0}) is None
    assert learn("no numbers", lambda text: {"step": 1.0}) is None
    assert learn("step 1 loss 2", lambda text: None) is None


@pytest.mark.parametrize(
    "odd", ["a=1.0, b=nan, v_num=3, val_loss=2.5", "b=1.0, a=2", "a=x, b=2", ""]
)
def test_bars_read_together_and_alone(odd: str) -> None:
    bar = "Epoch 0:  10%|#         | {0}/900 [00:04<00:01,  1.02s/it, {1}]"
    shown = [f"a={2 - k / 1000:.4f}, b=1.0, v_num=3, val_loss={3 - k // 50}.0" for k in range(200)]
    shown[120] = odd
    text = source_text("\n".join(bar.format(k + 1, s) for k, s in enumerate(shown)) + "\n")
    format = find_format("lightning")
    together = [r for r in expand(format.parse(numbered(text))) if r.kind in ("step", "eval")]
    alone, evaluated = [], None
    for line in numbered(text):
        for record in expand(format.parse([line])):
            if record.kind == "eval" and repr(record.values) == evaluated:
                continue
            evaluated = repr(record.values) if record.kind == "eval" else evaluated
            alone += [record] if record.kind in ("step", "eval") else []
    assert sorted(map(repr, together)) == sorted(map(repr, alone))


def test_bars_of_many_numbers_cost_no_more_where_the_last_differs() -> None:
    bar = "Epoch 0:  10%|#         | {0}/900 [00:04<00:01,  1.02s/it, {1}, {2}=1.0]"
    many = ", ".join(f"loss_{k}=1.0" for k in range(40))
    lines = [bar.format(k + 1, many, "x" if k % 3 else "y") for k in range(300)]
    begun = time.process_time()
    list(find_format("lightning").parse(numbered(source_text("\n".join(lines) + "\n"))))
    assert time.process_time() - begun < 2
