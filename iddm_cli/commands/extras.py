"""Optional dependencies: the packages of a pip extra, checked before a command needs them."""

from collections.abc import Sequence
from importlib.util import find_spec

from iddm_cli.errors import UsageError


def require_extra(extra: str, modules: Sequence[str]) -> None:
    """Check that the packages of an extra are installed.

    Args:
        extra: Name of the extra in `pip install 'iddm-cli[EXTRA]'`.
        modules: Modules that the command imports.

    Raises:
        UsageError: At least one is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this command needs packages that are not installed: {', '.join(missing)}",
            f"Install them with: pip install 'iddm-cli[{extra}]'",
        )
