"""Serving: find the models, check who may use the server, load the weights, answer requests.

Everything that can be wrong with the command line is checked before torch is imported.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from iddm_cli.errors import UsageError
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.refusal import check_generates
from iddm_cli.workflows.sampling.guiding import GuidingModel, find_guiding_model
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.serving.http.security import AccessPolicy
    from iddm_cli.serving.scheduling.limits import Limits
    from iddm_cli.serving.scheduling.served_model import ServedModel

MIN_TOKEN_LENGTH = 16
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class AccessOptions:
    """Where the server listens and who may use it, as given on the command line.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        token: The token that requests must carry; None for no token.
        no_auth: Whether everyone who reaches the address may use the server.
        allowed_hosts: Further names under which the server is reached.
    """

    host: str
    port: int
    token: str | None
    no_auth: bool
    allowed_hosts: Sequence[str]


def serve_models(
    references: Sequence[str | None],
    runs_dir: Path | None,
    given: dict[str, object],
    access: AccessOptions,
    *,
    max_batch: int,
    max_queue: int,
    checkpoint: models.CheckpointChoice = None,
    guide_with: str | None = None,
) -> int | None:
    """Serve models until a signal stops the server; return the signal's number.

    Args:
        references: Runs or exported files; None for the run last trained.
        runs_dir: The folder of the runs; None for the default.
        given: Options that override the models' profiles.
        access: Where the server listens and who may use it.
        max_batch: Images per solver step.
        max_queue: Requests that may wait.
        checkpoint: The checkpoint of each model to load.
        guide_with: The weaker model that guides each of them, see `guiding.parse_guide`.

    Raises:
        UsageError: The options are invalid, or the address is in use.
        RunError: A run, file or checkpoint does not exist, or is damaged.
    """
    policy = build_access_policy(access)
    sources = find_models(references, runs_dir)
    profiles = [load_served_profile(source, given, guide_with) for source in sources]
    listener = open_port(access.host, access.port)

    from iddm_cli.serving.scheduling.limits import Limits

    limits = Limits(max_batch=max_batch, max_queue=max_queue)
    served = []
    for source, profile in zip(sources, profiles, strict=True):
        weights = source.open_weights(checkpoint, profile.sampling.weights)
        guide = find_guiding_model(guide_with, source, profile, weights, runs_dir)
        served.append(load_model(source, profile, weights, guide))
    return answer_requests(served, listener, policy, limits)


def load_served_profile(
    source: models.ModelSource, given: dict[str, object], guide_with: str | None
) -> "ResolvedProfile":
    """Return the profile of a model that generates or upscales.

    Args:
        source: The model.
        given: Options that override its profile.
        guide_with: The weaker model that is to guide it; None: there is none.

    Raises:
        UsageError: An option is invalid, or the model is an autoencoder, or upscales and is to be
            guided.
        RunError: The model is damaged.
    """
    profile = load_sampling_profile(source, given, upscales=None)
    check_generates(profile, source.reference)
    if profile.model.is_upscaler and guide_with is not None:
        raise UsageError(
            f"--guide-with {guide_with}: {source.reference} upscales images, and no weaker model "
            "can guide that",
            "Leave --guide-with out, or serve this run with a command of its own.",
        )
    return profile


def build_access_policy(access: AccessOptions) -> "AccessPolicy":
    """Return who may use the server.

    Raises:
        UsageError: Other machines could use it without a token and without --no-auth, or the
            token or a host name is invalid.
    """
    from iddm_cli.serving.http.security import LOOPBACK_HOSTS, AccessPolicy, is_loopback

    host, token = access.host, access.token
    local = is_loopback(host)
    if access.no_auth and token:
        raise UsageError("--no-auth and a token contradict each other", "Give one of them.")
    if not (local or token or access.no_auth):
        raise UsageError(
            f"--host {host} opens the server to other machines, so a token is needed",
            "Set $IDDM_TOKEN, or give --token TEXT; or --no-auth to let everyone in.",
        )
    if token is not None and not is_valid_token(token):
        raise UsageError(
            f"the token must have at least {MIN_TOKEN_LENGTH} printable ASCII characters, with no "
            "line break and no space at either end",
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
        )
    address = f"[{host}]" if ":" in host else host
    names = {normalize_host(name) for name in access.allowed_hosts}
    hosts = LOOPBACK_HOSTS | {address.lower()} | names
    return AccessPolicy(hosts, allow_ip_hosts=not local, token=token)


def is_valid_token(text: str) -> bool:
    """Return whether a header can carry a text unchanged, and it is long enough for a token."""
    printable = text.isascii() and text.isprintable() and text == text.strip()
    return printable and len(text) >= MIN_TOKEN_LENGTH


def normalize_host(name: str) -> str:
    """Return a name given by --allow-host in the form that the Host header has.

    Raises:
        UsageError: It is not a valid host name.
    """
    from iddm_cli.serving.http.security import is_ip_address

    if is_ip_address(name):
        return f"[{name.strip('[]')}]".lower() if ":" in name else name
    if not HOST_NAME.fullmatch(name):
        raise UsageError(
            f"--allow-host {name} is not a valid host name",
            "Give the name alone, such as images.example.org: no scheme, no port, ASCII.",
        )
    return name.lower()


def find_models(
    references: Sequence[str | None], runs_dir: Path | None
) -> list[models.ModelSource]:
    """Find the models to serve.

    Raises:
        RunError: A run or file does not exist.
        UsageError: Two models have the same name, by which requests refer to them.
    """
    sources: list[models.ModelSource] = [models.find_model(runs_dir, one) for one in references]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two models are named {name}", "Serve each of them with its own `iddm serve`."
            )
    return sources


def open_port(host: str, port: int) -> socket.socket:
    """Open the listening socket, before the models are loaded.

    Raises:
        UsageError: The address is in use, or does not belong to this machine.
    """
    from iddm_cli.serving.http.sockets import open_listener

    try:
        return open_listener(host, port)
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: {error.strerror or error}",
            "Choose another --port, 0 for any free one; or another --host.",
        ) from error


def load_model(
    source: models.ModelSource,
    profile: "ResolvedProfile",
    weights: "WeightsSource",
    guide: GuidingModel | None = None,
) -> "ServedModel":
    """Load a model's weights, and warn if its images depend on other requests."""
    from iddm_cli.build.serving import build_served_model, build_upscaler_traits
    from iddm_cli.display import console
    from iddm_cli.display.progress import show_progress
    from iddm_cli.workflows.sampling.sampling_precision import build_sampling_generator
    from iddm_cli.workflows.tuning.tuned_models import read_optional_tables

    with show_progress() as progress:
        generator = build_sampling_generator(
            source,
            profile,
            weights,
            progress=progress,
            guide=guide,
        )
        served = build_served_model(
            source.name,
            generator,
            source.classes,
            trained_steps=weights.step,
            reference=source.reference,
            values=source.values,
            guide_with=guide.name if guide else "",
            tables=read_optional_tables(source, profile, "the server offers no sampler tuned"),
            no_guidance=explain_missing_guidance(source, profile, guide),
            upscaler=build_upscaler_traits(profile, source.values),
        )
    if not served.is_invariant:
        console.print_warning(
            f"{served.name}: on this machine the last bits of an image depend on other requests"
        )
    return served


def explain_missing_guidance(
    source: models.ModelSource, profile: "ResolvedProfile", guide: GuidingModel | None
) -> str:
    """Return why requests can have no guidance scale but 1; "" where they can.

    Without classes a scale has no effect, and clients may send one.
    """
    from iddm_cli.profiles.checking.rules import find_guidance_issue

    issue = find_guidance_issue(profile) if source.classes and guide is None else None
    return issue.problem if issue else ""


def answer_requests(
    served: Sequence["ServedModel"],
    listener: socket.socket,
    policy: "AccessPolicy",
    limits: "Limits",
) -> int | None:
    """Answer requests until a signal stops the server; return the signal's number."""
    from iddm_cli.display import console
    from iddm_cli.serving.http.server import ImageServer, run_server
    from iddm_cli.serving.http.service import GenerationService

    def print_address() -> None:
        console.print_result(format_address(listener, policy.token))
        names = ", ".join(f"{model.name} ({model.precision})" for model in served)
        console.print_note(f"serving {names}; press Ctrl-C to stop")

    by_name = {model.name: model for model in served}
    service = GenerationService(by_name, limits, console.print_warning)
    return run_server(ImageServer(service, policy, print_address), listener)


def format_address(listener: socket.socket, token: str | None) -> str:
    """Return the page's address, with the token in the fragment, which browsers never send."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    fragment = f"#token={quote(token, safe='')}" if token else ""
    return f"http://{host}:{port}/{fragment}"
