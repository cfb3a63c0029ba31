"""Start the training again and again in a child, and kill the child at a random point.

Run as a script: python kill_trials.py KILLS --option=value ...; prints how often it killed. Forking
after the imports makes a life take a fraction of a second.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path


def main(kills: int, options: list[str]) -> int:
    """Return the exit code of the life that was left to end."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "train"))
    import train as script

    out = next(Path(o.partition("=")[2]) for o in options if o.startswith("--out_dir="))
    drawn, killed = random.Random(0), 0
    while True:
        child = os.fork()
        if child == 0:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            resume = ["--init_from=resume"] if (out / "ckpt.pt").exists() else []
            os._exit(script.main([*options, *resume]))
        last = killed == kills
        if not last:
            time.sleep(drawn.uniform(0.05, 0.7))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed += code == -signal.SIGKILL
        if last:
            print(killed)
            return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
