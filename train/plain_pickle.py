"""Read nanoGPT's meta.pkl: a vocabulary of plain values, by a reader that can run nothing."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

from options import OptionError

MOST_BYTES = 400_000  # about 24,000 characters; the worst of that size is read in a second
MOST_TOKENS = 2**32  # that a data set of uint32 can name

# The instructions in which protocols 1 to 5 write dictionaries, lists, text and numbers. Tuples and
# long numbers are not among them: as keys, few of them can take for ever to hash or to tell apart.
# The last two ask for a class, which is refused by name.
PLAIN = (
    "PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "DICT", "EMPTY_DICT", "SETITEM", "SETITEMS", "LIST",
    "EMPTY_LIST", "APPEND", "APPENDS", "GLOBAL", "STACK_GLOBAL",
)  # fmt: skip


class _Plain(pickle._Unpickler):  # the one in Python: its instructions can be taken away
    dispatch: ClassVar[dict] = {
        code: read
        for code, read in pickle._Unpickler.dispatch.items()
        if code in {getattr(pickle, name)[0] for name in PLAIN}
    }

    def find_class(self, module: str, name: str) -> Any:
        asked = f"{module}.{name}"[:30]
        raise OptionError(f"meta.pkl asks for {asked!a}; only plain values are read")


def read_pickle(data: bytes) -> dict:
    """Return the number of tokens and, where they are characters, which (`vocab_size`, `itos`).

    Raises:
        OptionError: it is damaged, holds something else, or would run code.
    """
    if len(data) > MOST_BYTES:
        raise OptionError(f"meta.pkl is larger than {MOST_BYTES:,} bytes: that is no vocabulary")
    try:
        found = _Plain(io.BytesIO(data)).load()
    except OptionError:
        raise
    except Exception as error:  # damage makes Python's reader raise nearly everything
        kind = type(error).__name__
        raise OptionError(f"meta.pkl is damaged, or holds no plain values ({kind})") from error
    if not isinstance(found, dict):
        raise OptionError("meta.pkl holds no dictionary")
    size, itos = found.get("vocab_size"), found.get("itos")
    if type(size) is not int or not 0 < size <= MOST_TOKENS:
        raise OptionError("meta.pkl names no vocab_size that is a number of tokens")
    if itos is None:
        return {"vocab_size": size}
    if not isinstance(itos, dict) or len(itos) != size or any(i not in itos for i in range(size)):
        raise OptionError(f"meta.pkl has no table of its {size} tokens in itos")
    if not all(isinstance(text, str) and len(text) == 1 for text in itos.values()):
        return {"vocab_size": size, "kind": "words"}  # which the trainer need not know
    return {"vocab_size": size, "itos": itos}
