"""A fork server: runs `iddm` commands in processes that start in no time, to be killed.

Imports all that a training imports once, then forks for each command. It reads one JSON document
a line and answers with one: {"argv", "folder", ...} starts a command and gives its pid;
{"wait": pid} waits for its end and gives its status; with "once" it gives null if it still runs.
"""

import atexit
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path


def serve() -> None:
    """Answer until nobody asks any more."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            ended, status = os.waitpid(asked["wait"], os.WNOHANG if asked.get("once") else 0)
            answer = {"status": os.waitstatus_to_exitcode(status) if ended else None}
        else:
            answer = {"pid": start(**asked)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def start(
    argv: list[str], folder: str, env: dict[str, str], out: str, err: str, *, alone: bool = False
) -> int:
    """Fork a process that is the command; one that is alone leads a process group of its own."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if alone:
            os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["iddm", *argv]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(_opened(out), 1)
        os.dup2(1 if err == out else _opened(err), 2)
        if "PYTHONIOENCODING" in env:  # which Python looks at when it starts
            sys.stdout.reconfigure(encoding=env["PYTHONIOENCODING"])
            sys.stderr.reconfigure(encoding=env["PYTHONIOENCODING"])
        from iddm_cli.display import console
        from iddm_cli.main import main

        importlib.reload(console)  # it looks at its environment when it is imported
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        _end_helpers()
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(99)


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _end_helpers() -> None:
    """Do what an interpreter does at its end."""
    threading._shutdown()
    atexit._run_exitfuncs()


def load_all() -> None:
    """Import every module of iddm, and what torch loads when it exports."""
    import torch._dynamo

    import iddm_cli

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(iddm_cli.__path__, "iddm_cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


class Forks:
    """The server, as a test sees it.

    Args:
        folder: Where its commands work.
        env: Their environment.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, **asked: object) -> dict:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *argv: str, out: str = "out", **changes: object) -> int:
        """Start a command; what it prints goes to files."""
        path = str(self.folder / out)
        place = {"folder": str(self.folder), "env": self.env, "out": path, "err": path}
        return self.ask(argv=list(map(str, argv)), **(place | changes))["pid"]

    def wait(self, pid: int) -> int:
        """Wait for its end, and return its exit code, or the signal that ended it, negative."""
        return self.ask(wait=pid)["status"]

    def poll(self, pid: int) -> int | None:
        """Return how it ended, as `wait` does; None while it runs."""
        return self.ask(wait=pid, once=True)["status"]

    def iddm(self, *argv: str) -> str:
        """Run a command that must succeed; return what it printed."""
        code = self.wait(self.start(*argv))
        printed = (self.folder / "out").read_text()
        assert code == 0, printed
        return printed

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


if __name__ == "__main__":
    load_all()
    serve()
