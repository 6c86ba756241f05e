"""`iddm serve`: answer requests for pictures over HTTP."""

import os
import re
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.workflows import models

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.serving.http.security import Policy
    from iddm_cli.serving.scheduling.limits import Limits
    from iddm_cli.serving.scheduling.served_model import ServedModel

EXAMPLES = """\
[bold]Examples[/bold]

  iddm serve                                     the run last trained, for this machine only

  iddm serve first second --port 9000 --queue 200

  IDDM_TOKEN=... iddm serve --host 0.0.0.0 --allow-host pictures.example.org
"""
WHO, HOW_MUCH = "Who may ask", "How much"
SHORTEST_TOKEN = 16
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="Runs, by name or folder, or exported files; left out: the run last trained.",
        show_default=False,
        autocompletion=options.complete_run,
    ),
]
HostOption = Annotated[
    str,
    options.option(help="Address to listen on.", panel=WHO, metavar="ADDRESS", show_default=True),
]
PortOption = Annotated[
    int,
    options.option(
        help="Port to listen on; 0: any.", panel=WHO, at_least=0, at_most=65535, show_default=True
    ),
]
TokenOption = Annotated[
    str | None,
    options.option(
        help="What every request must show; others see it in a list of processes, so better put "
        "it into $IDDM_TOKEN.",
        panel=WHO,
        metavar="TEXT",
    ),
]
NoAuthOption = Annotated[
    bool, options.option("--no-auth", help="Let anyone in who reaches the address.", panel=WHO)
]
AllowHostOption = Annotated[
    list[str] | None,
    options.option(
        "--allow-host",
        help="A name under which the server is reached, as behind a proxy; may be repeated.",
        panel=WHO,
        metavar="NAME",
    ),
]
MaxBatchOption = Annotated[
    int,
    options.option(
        help="Pictures drawn together.", panel=HOW_MUCH, at_least=1, at_most=4096, show_default=True
    ),
]
QueueOption = Annotated[
    int,
    options.option(
        help="Requests that may wait.",
        panel=HOW_MUCH,
        at_least=0,
        at_most=100_000,
        show_default=True,
    ),
]


def serve(
    run: RunsArgument = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    token: TokenOption = None,
    no_auth: NoAuthOption = False,
    allow_host: AllowHostOption = None,
    max_batch: MaxBatchOption = 32,
    queue: QueueOption = 64,
    weights: options.WeightsOption = None,
    device: options.DeviceOption = None,
    runs_dir: options.RunsDirOption = None,
) -> None:
    """Answer requests for pictures over HTTP, and show a web page to ask for them."""
    check_installed()
    token = os.environ.get("IDDM_TOKEN") if token is None else token
    policy = make_policy(host, token, no_auth, allow_host or [])
    found = find_all(run or [None], runs_dir)
    given = {
        **options.given_sampling(None, None, None, weights),
        "--device runtime.device": device,
    }
    profiles = [models.load_sampling_profile(one, given) for one in found]
    listener = open_port(host, port)

    from iddm_cli.serving.scheduling.limits import Limits

    limits = Limits(max_batch=max_batch, queue=queue)
    served = [load(one, profile) for one, profile in zip(found, profiles, strict=True)]
    if number := answer(served, listener, policy, limits):
        raise typer.Exit(128 + number)


def check_installed() -> None:
    """Refuse to serve without what it takes.

    Raises:
        UsageError: It is not installed.
    """
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"serving needs {' and '.join(missing)}", "Install them: pip install 'iddm-cli[serve]'"
        )


def make_policy(host: str, token: str | None, no_auth: bool, names: list[str]) -> "Policy":
    """Decide who may ask.

    Raises:
        UsageError: Anyone could, without having been told so; or the token is too short.
    """
    from iddm_cli.serving.http.security import LOOPBACK, Policy, is_loopback

    local = is_loopback(host)
    if no_auth and token:
        raise UsageError("--no-auth and a token contradict each other", "Give one of them.")
    if not (local or token or no_auth):
        raise UsageError(
            f"--host {host} lets other machines ask, so a token is needed",
            "Set $IDDM_TOKEN, or give --token TEXT; or --no-auth, if everyone there may draw.",
        )
    if token is not None and not is_token(token):
        raise UsageError(
            f"the token must have {SHORTEST_TOKEN} ASCII characters or more, no line end among "
            "them and no blank at its ends",
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
        )
    address = f"[{host}]" if ":" in host else host
    known = LOOPBACK | {address.lower()} | {as_in_header(name) for name in names}
    return Policy(known, any_address=not local, token=token)


def is_token(text: str) -> bool:
    """Say whether a header can carry that text as it is, and nobody guesses it."""
    escape_control = text.isascii() and text.isprintable() and text == text.strip()
    return escape_control and len(text) >= SHORTEST_TOKEN


def as_in_header(name: str) -> str:
    """Return a name given by --allow-host as it stands in the Host header.

    Raises:
        UsageError: No Host header could be that.
    """
    from iddm_cli.serving.http.security import is_address

    if is_address(name):
        return f"[{name.strip('[]')}]".lower() if ":" in name else name
    if not HOST_NAME.fullmatch(name):
        raise UsageError(
            f"--allow-host {name} is not the name of a host",
            "Write the name alone, such as pictures.example.org: no scheme, no port, ASCII.",
        )
    return name.lower()


def find_all(references: Sequence[str | None], runs_dir: Path | None) -> list[models.ModelSource]:
    """Find the models to serve.

    Raises:
        RunError: There is no such run, or no such file.
        UsageError: Two have the same name, by which requests call them.
    """
    found: list[models.ModelSource] = [models.find_model(runs_dir, one) for one in references]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two models are named {name}", "Serve them by two processes.")
    return found


def open_port(host: str, port: int) -> socket.socket:
    """Listen, before anything that takes long.

    Raises:
        UsageError: The address is taken, or not this machine's.
    """
    from iddm_cli.serving.http.sockets import allow_files, listen

    allow_files()
    try:
        return listen(host, port)
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: {error.strerror or error}",
            "Choose another --port, 0 for any that is free; or another --host.",
        ) from error


def load(model: models.ModelSource, profile: "Profile") -> "ServedModel":
    """Load a model's newest good weights."""
    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.serving import load_served
    from iddm_cli.display import console

    place = setup_compute(profile.runtime)
    served = load_served(
        model.name,
        profile,
        model.classes,
        model.open_weights(None, profile.sampling.weights),
        place,
        reference=model.reference,
    )
    if not served.exact.holds:
        console.print_warning(
            f"{served.name}: on this machine a picture's last bits depend on what others ask for"
        )
    return served


def answer(
    served: list["ServedModel"], listener: socket.socket, policy: "Policy", limits: "Limits"
) -> int | None:
    """Answer requests until a signal asks for the end; return the signal."""
    from iddm_cli.display import console
    from iddm_cli.serving.http.server import Server, run
    from iddm_cli.serving.http.service import Service

    address, port = listener.getsockname()[:2]
    place = f"[{address}]" if ":" in address else address
    key = f"#token={quote(policy.token, safe='')}" if policy.token else ""

    def ready() -> None:
        console.print_result(f"http://{place}:{port}/{key}")
        console.print_note(f"serving {', '.join(model.name for model in served)}; Ctrl-C ends it")

    service = Service({model.name: model for model in served}, limits, console.print_warning)
    return run(Server(service, policy, ready), listener)
