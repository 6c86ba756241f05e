"""The commands about this machine: `iddm bench` and `iddm doctor`."""
