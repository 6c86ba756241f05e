"""Profiles as text: YAML, the JSON schema, and the reference in Markdown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from iddm_cli import durable
from iddm_cli.profiles.checking.messages import format_bound
from iddm_cli.profiles.profile import Profile, get_section_classes
from iddm_cli.profiles.settings import Settings
from iddm_cli.profiles.strict_yaml import parse_yaml

SAVED_HEAD = """\
# All settings of this run, including defaults.
# Repeat the run with: iddm train --profile THIS-FILE
"""


def dump_profile(profile: Profile) -> str:
    """Return a profile as YAML, including all defaults; loading it gives an equal profile."""
    lines = [SAVED_HEAD]
    for section, table in profile.model_dump().items():
        lines.append(f"{section}:")
        lines += [f"  {key}: {_format_scalar(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def _format_scalar(value: object) -> str:
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_format_scalar, value))}]"
    text = str(value)
    plain = all(c.isalnum() or c in "-_./" for c in text) and text.isascii() and text[0] not in "-."
    if plain and parse_yaml(text, "").data == text:
        return text
    # A JSON string is a YAML string, and json.dumps escapes what YAML would not accept.
    return json.dumps(text)


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile as YAML, including all defaults."""
    durable.write_file(path, dump_profile(profile).encode())


def build_profile_schema() -> dict[str, Any]:
    """Return the JSON schema of a profile."""
    schema = Profile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def render_reference() -> str:
    """Return the reference of all settings as Markdown: a table for each section and backbone."""
    return "\n\n".join(
        _format_table(section, network, settings)
        for section in Profile.model_fields
        for network, settings in get_section_classes(section).items()
    )


def _format_table(section: str, network: str, settings: type[Settings]) -> str:
    properties = settings.model_json_schema()["properties"]
    rows = [
        f"| `{section}.{key}` | `{_format_scalar(default)}` | {_describe_values(properties[key])} "
        f"| {sentence} |"
        for key, default, sentence in _iter_fields(settings)
    ]
    title = f"**{section}**, with `network: {network}`" if network else f"**{section}**"
    head = ["| setting | default | values | what it does |", "|---|---|---|---|"]
    return "\n".join([f"{title}: {settings.__doc__}", "", *head, *rows])


def _iter_fields(settings: type[Settings]) -> Iterator[tuple[str, object, str]]:
    """Yield key, default and sentence of each setting; a required network is its own default."""
    for key, field in settings.model_fields.items():
        default = get_args(field.annotation)[0] if field.is_required() else field.default
        yield key, default, field.description or ""


def _describe_values(schema: dict[str, Any]) -> str:
    """Describe the values that a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(_describe_values(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(str(v) for v in schema.get("enum", [schema.get("const")]))
    names = {"integer": "whole number", "number": "number", "boolean": "true, false",
             "string": "text", "null": "null", "array": "list"}  # fmt: skip
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words = [f"{sign} {format_bound(schema[key])}" for key, sign in bounds.items() if key in schema]
    return " ".join([names[schema["type"]], *words])
