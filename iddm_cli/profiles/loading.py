"""Profiles: where they are found, how they are read, changed and checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iddm_cli.errors import ProfileError, did_you_mean
from iddm_cli.profiles.messages import Issue, explain_all
from iddm_cli.profiles.overrides import Override, known_keys
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.rules import check_rules
from iddm_cli.profiles.settings import NETWORK_SETTINGS
from iddm_cli.profiles.strict_yaml import Document, read_yaml, shorten


@dataclass(frozen=True)
class ProfileEntry:
    """A profile that can be named: `purpose` is the first line of its head comment."""

    name: str
    path: Path
    origin: str
    purpose: str


def list_profile_dirs() -> list[tuple[str, Path]]:
    """Return where named profiles lie, the first to be searched first."""
    from platformdirs import user_config_path

    package = Path(__file__).parent.parent
    installed = package / "configs"
    shipped = installed if installed.is_dir() else package.parent / "configs"
    return [("user", user_config_path("iddm") / "profiles"), ("shipped", shipped)]


def list_profiles() -> list[ProfileEntry]:
    """Return the profiles that can be named; a user's own hides a shipped one of that name."""
    entries: dict[str, ProfileEntry] = {}
    for origin, folder in list_profile_dirs():
        for path in _yaml_files(folder):
            if _is_file(path):
                entries.setdefault(path.stem, ProfileEntry(path.stem, path, origin, _purpose(path)))
    return sorted(entries.values(), key=lambda entry: entry.name)


def _yaml_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))
    except OSError:  # a folder that may not be read holds none
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _purpose(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            first = lines.readline(1000)
    except OSError:  # one profile that may not be read hides no other
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find_profile(reference: str) -> Path:
    """Find a profile: an existing file, else one of that name, the user's own first.

    Raises:
        ProfileError: There is none, or it is a folder or a device.
    """
    path = Path(reference)
    if _is_file(path):
        return path
    entries = {entry.name: entry.path for entry in list_profiles()}
    name = reference.removesuffix(".yaml").removesuffix(".yml")
    if name in entries:
        return entries[name]
    if _exists(path):
        raise ProfileError(f"{path} is not a file", "A profile is a YAML file.")
    hint = did_you_mean(path.name.removesuffix(".yaml").removesuffix(".yml"), entries)
    listed = f"There are: {', '.join(entries)}; or give a file."
    raise ProfileError(f"no profile {shorten(reference)!r}", f"{hint} {listed}".strip())


def load_profile(reference: str, overrides: Sequence[Override]) -> Profile:
    """Read a profile, apply overrides in their order, and check all of it.

    Raises:
        ProfileError: It cannot be found or read, or something in it is wrong; everything that is
            wrong is told at once.
    """
    path = find_profile(reference)
    return build_profile(path, read_yaml(path), overrides)


def build_profile(path: Path, document: Document, overrides: Sequence[Override]) -> Profile:
    """Apply overrides to a profile's document, and check all of it.

    Args:
        path: Where it comes from.
        document: What stands there.
        overrides: Put on top, in their order.

    Raises:
        ProfileError: Something in it is wrong; everything that is wrong is told at once.
    """
    if not isinstance(document.data, dict | None):
        raise ProfileError(f"{path}: a profile is made of sections such as training:")
    merged = _MergedProfile(path, document, overrides)
    try:
        profile = Profile.model_validate(merged.values)
    except ValidationError as error:
        raise merged.error(explain_all(error.errors(), known_keys())) from None
    if issues := list(check_rules(profile)):
        raise merged.error(issues)
    return profile


class _MergedProfile:
    """A file's values with overrides on top, and where each value came from."""

    def __init__(self, path: Path, document: Document, overrides: Sequence[Override]) -> None:
        self.path = path
        self.document = document
        self.values: dict[str, Any] = json.loads(json.dumps(document.data or {}))
        self.origins: dict[str, str] = {}
        self._settle_length(self._section("training"))
        for override in overrides:
            if override.key == "model.network":
                self._forget_network(self._section("model"), override.value)
        for override in overrides:
            self._apply(override)

    def _section(self, name: str) -> dict[str, Any]:
        section = self.values.get(name)
        if section is None:
            section = self.values[name] = {}
        return section if isinstance(section, dict) else {}

    def _apply(self, override: Override) -> None:
        section, _, key = override.key.partition(".")
        self._section(section)[key] = override.value
        self.origins[override.key] = override.origin
        # Steps and epochs both say how long: the one given last counts.
        other = {"steps": "epochs", "epochs": "steps"}.get(key)
        if section == "training" and other and override.value is not None:
            self._section(section)[other] = None

    @staticmethod
    def _settle_length(training: dict[str, Any]) -> None:
        if training.get("steps") is not None and "epochs" not in training:
            training["epochs"] = None

    @staticmethod
    def _forget_network(model: dict[str, Any], asked: object) -> None:
        """Leave out what the file says of its own network, and another one does not have."""
        for name, keys in NETWORK_SETTINGS.items():
            if name == asked:
                for key in {*NETWORK_SETTINGS["unet"]} - {*keys}:
                    model.pop(key, None)

    def error(self, issues: Sequence[Issue]) -> ProfileError:
        """Put all issues into one error, each with where it stands."""
        if len(issues) == 1:
            return ProfileError(f"{self._where(issues[0])}: {issues[0].problem}", issues[0].hint)
        lines = (f"{self._where(f)}: {f.problem}{f' ({f.hint})' if f.hint else ''}" for f in issues)
        return ProfileError("\n".join(lines))

    def _where(self, issue: Issue) -> str:
        for end in range(len(issue.path), 0, -1):
            key = ".".join(map(str, issue.path[:end]))
            if key in self.origins:
                return self.origins[key]
            line = self.document.line(issue.path[:end])
            if line is not None:
                return f"{self.path}, line {line}"
        return str(self.path)
