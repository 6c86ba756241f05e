"""Lets `python -m iddm_cli` do what `iddm` does."""

from iddm_cli.main import main

if __name__ == "__main__":
    main()
