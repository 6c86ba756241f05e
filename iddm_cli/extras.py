"""Optional dependencies: the packages of a pip extra, checked before they are needed."""

from collections.abc import Sequence
from importlib.util import find_spec

from iddm_cli.errors import UsageError


def require_extra(extra: str, modules: Sequence[str], *, needed_by: str = "this command") -> None:
    """Check that the packages of an extra are installed.

    Args:
        extra: Name of the extra in `pip install 'iddm-cli[EXTRA]'`.
        modules: Modules that are about to be imported.
        needed_by: What imports them, the subject of the message.

    Raises:
        UsageError: At least one is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{needed_by} needs packages that are not installed: {', '.join(missing)}",
            f"Install them with: pip install 'iddm-cli[{extra}]'",
        )
