"""Overrides: settings given on the command line, on top of a profile."""

from dataclasses import dataclass
from functools import cache

from iddm_cli.errors import ProfileError
from iddm_cli.profiles.messages import suggest_key
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import Settings
from iddm_cli.profiles.strict_yaml import parse_value, shorten


@dataclass(frozen=True)
class Override:
    """A setting given on the command line.

    Attributes:
        key: Dotted, such as training.lr.
        value: Its value, as YAML reads it.
        origin: How messages call it: the option as the user spelled it.
    """

    key: str
    value: object
    origin: str


def parse_override(text: str) -> Override:
    """Read the argument of --set.

    Raises:
        ProfileError: It is not KEY=VALUE, or there is no such key.
    """
    key, equals, value = text.partition("=")
    key, origin = key.strip(), f"--set {shorten(text)}"
    if not equals:
        raise ProfileError(f"{origin}: no value", "Write --set KEY=VALUE.")
    if key not in known_keys():
        named = shorten(key) or "''"
        hint = suggest_key(named, known_keys())
        raise ProfileError(f"{origin}: unknown setting {named}", hint)
    return Override(key, parse_value(value, origin), origin)


@cache
def known_keys() -> tuple[str, ...]:
    """Return every dotted key, in the order of the file."""
    return tuple(
        f"{section}.{key}"
        for section, field in Profile.model_fields.items()
        for key in section_table(section).model_fields
        if field is not None
    )


def section_table(section: str) -> type[Settings]:
    """Return the settings class of a section."""
    table = Profile.model_fields[section].annotation
    assert isinstance(table, type), "every section is a table"
    assert issubclass(table, Settings), "every section is a table"
    return table


def collect_overrides(given: dict[str, object]) -> list["Override"]:
    """Turn options that were given ("--steps training.steps": 5) into overrides."""
    from iddm_cli.profiles.overrides import Override

    pairs = ((spelled.split(), value) for spelled, value in given.items() if value is not None)
    return [Override(key=key, value=value, origin=option) for (option, key), value in pairs]


RESUMABLE_SECTIONS = ("training", "sampling", "runtime")


RESUMABLE_KEYS = ("data.path", "data.cache", "data.workers", "data.timeout")
"""Where pictures are and how they are read; which they are is checked by their digest."""


FIXED_BY_IMPORT = ("data.image_size", "data.channels", "data.conditional")
"""What cannot be chosen of the pictures even where a model was imported, and has none yet."""
