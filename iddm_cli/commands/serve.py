"""`iddm serve`: generate images on request, over HTTP."""

import os
from typing import Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.commands.options import guidance_options
from iddm_cli.extras import require_extra
from iddm_cli.workflows import serving

EXAMPLES = """\
[bold]Examples[/bold]

  iddm serve                                     the latest run, for this machine only

  iddm serve first second --port 9000 --queue 200

  IDDM_TOKEN=... iddm serve --host 0.0.0.0 --allow-host images.example.org
"""
ACCESS, LIMITS = "Access", "Limits"

RunsArgument = Annotated[
    list[str] | None,
    options.run_argument(
        "Runs, by name or folder, or exported files. (default: the latest run)",
        metavar="[RUN]...",
    ),
]
HostOption = Annotated[
    str,
    options.option(
        help="Address to listen on.", panel=ACCESS, metavar="ADDRESS", show_default=True
    ),
]
PortOption = Annotated[
    int,
    options.option(
        help="Port to listen on; 0 for any free port.",
        panel=ACCESS,
        at_least=0,
        at_most=65535,
        show_default=True,
    ),
]
TokenOption = Annotated[
    str | None,
    options.option(
        help="Token that every request must carry. Other users can see it in the process list; "
        "$IDDM_TOKEN is safer.",
        panel=ACCESS,
        metavar="TEXT",
    ),
]
NoAuthOption = Annotated[
    bool,
    options.option(
        "--no-auth", help="Let everyone who reaches the address use the server.", panel=ACCESS
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    options.option(
        "--allow-host",
        help="Host name under which the server is reached, such as a proxy's; may be repeated.",
        panel=ACCESS,
        metavar="NAME",
    ),
]
MaxBatchOption = Annotated[
    int,
    options.option(
        help="Images per solver step.", panel=LIMITS, at_least=1, at_most=4096, show_default=True
    ),
]
QueueOption = Annotated[
    int,
    options.option(
        help="Requests that may wait.",
        panel=LIMITS,
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
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    guide_with: guidance_options.GuideWithOption = None,
    device: options.DeviceOption = None,
    precision: options.PrecisionOption = None,
    runs_dir: options.RunsDirOption = None,
) -> None:
    """Generate images on request over HTTP, and serve a web page for it."""
    require_extra("serve", ("fastapi", "uvicorn"))
    token = os.environ.get("IDDM_TOKEN") if token is None else token
    given = {
        **options.collect_sampling_options(None, None, None, None, weights),
        "--device runtime.device": device,
        "--precision sampling.precision": precision,
    }
    stopped_by = serving.serve_models(
        run or [None],
        runs_dir,
        given,
        serving.AccessOptions(host, port, token, no_auth, allow_host or []),
        max_batch=max_batch,
        max_queue=queue,
        checkpoint=options.parse_checkpoint(checkpoint),
        guide_with=guide_with,
    )
    if stopped_by:
        raise typer.Exit(128 + stopped_by)
