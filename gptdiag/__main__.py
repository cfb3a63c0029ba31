"""`python -m gptdiag`."""

from gptdiag.cli import main

if __name__ == "__main__":
    main()
