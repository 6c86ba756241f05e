"""Packages of the extras: imported by the process that decodes, when it needs them."""

import importlib
import logging
import warnings
from importlib.util import find_spec
from types import ModuleType

from iddm_cli.data.decoding.formats.left_out import LeftOutKind, find_kind_by_reason
from iddm_cli.data.decoding.images import UnreadableImageError


def import_package(name: str, kind: LeftOutKind) -> ModuleType:
    """Return a module of an extra; what it logs and warns of is ignored.

    Args:
        name: Name of the module.
        kind: The kind of files that cannot be read without it.

    Raises:
        UnreadableImageError: It is not installed, or cannot be imported.
    """
    package = name.partition(".")[0]
    warnings.filterwarnings("ignore", module=rf"{package}\b")
    logging.getLogger(package).addHandler(logging.NullHandler())
    logging.getLogger(package).propagate = False
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise UnreadableImageError(kind.reason) from error
        raise _broken(package, error) from error
    # The modules of a broken installation may raise anything.
    except Exception as error:
        raise _broken(package, error) from error


def _broken(package: str, error: Exception) -> UnreadableImageError:
    words = " ".join(str(error).split())[:100]
    return UnreadableImageError(f"{package} is installed, but cannot be imported: {words}")


def is_readable_now(reason: str) -> bool:
    """Return whether a file was skipped because packages were missing that are installed now."""
    kind = find_kind_by_reason(reason)
    return kind is not None and bool(kind.packages) and all(map(find_spec, kind.packages))
