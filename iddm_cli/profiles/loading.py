"""Loading profiles: find the file, merge overrides, and validate the result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iddm_cli.errors import ProfileError, did_you_mean
from iddm_cli.machine.user_folders import user_config_folder
from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.checking.messages import explain_errors
from iddm_cli.profiles.checking.rules import check_rules, check_untrained
from iddm_cli.profiles.model_settings import MODEL_SETTINGS, list_owners
from iddm_cli.profiles.overrides import Override
from iddm_cli.profiles.profile import Profile, ResolvedProfile
from iddm_cli.profiles.strict_yaml import Document, read_yaml, shorten

VALUES_BEFORE: Mapping[str, object] = {
    "data.held_out": 0.0,  # every image was trained on
    "data.augment": "off",
    "sampling.grid": "trailing",
    "training.average_snapshots": 0,
    "sampling.precision": "fp32",  # so that an older run generates the same images
    "runtime.kernels": "reference",
    "runtime.tf32": "convolutions",  # PyTorch's default
    "runtime.compile": "none",
}
"""What earlier versions did, by the key of the setting that came later.

A run's profile lists every setting of its version. So a run that lacks one of these resumes, and is
repeated, as its version trained it, and not with the default of this version.
"""

RUN_MANIFEST = "run.json"
"""The file beside a profile that tells that it is a run's."""


@dataclass(frozen=True)
class ProfileEntry:
    """A profile that users can refer to by name.

    Attributes:
        name: Name of the file, without suffix.
        path: The file.
        origin: "user" or "shipped".
        purpose: First line of the file, if it is a comment.
    """

    name: str
    path: Path
    origin: str
    purpose: str


def list_profile_dirs() -> list[tuple[str, Path]]:
    """Return origin and path of the folders of named profiles, in the order of the search."""
    package = Path(__file__).parent.parent
    installed = package / "configs"
    shipped = installed if installed.is_dir() else package.parent / "configs"
    own = user_config_folder()
    return [*([("user", own / "profiles")] if own else []), ("shipped", shipped)]


def list_profiles() -> list[ProfileEntry]:
    """Return all named profiles; a user's own hides a shipped one of the same name."""
    entries: dict[str, ProfileEntry] = {}
    for origin, folder in list_profile_dirs():
        for path in _yaml_files(folder):
            if _is_file(path):
                entries.setdefault(
                    path.stem, ProfileEntry(path.stem, path, origin, _read_purpose(path))
                )
    return sorted(entries.values(), key=lambda entry: entry.name)


def _yaml_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))
    except OSError:  # an unreadable folder has no profiles
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or the folder is not accessible
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _read_purpose(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            first = lines.readline(1000)
    except OSError:  # an unreadable profile must not hide the others
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find_profile(reference: str) -> Path:
    """Return the path of a profile: an existing file, or a profile of that name.

    Raises:
        ProfileError: The profile does not exist, or is a folder or a device.
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
    listed = f"Known profiles: {', '.join(entries)}. Or give the path of a file."
    raise ProfileError(f"no profile {shorten(reference)!r}", f"{hint} {listed}".strip())


def load_profile(
    reference: str, overrides: Sequence[Override], defaults: Mapping[str, object] | None = None
) -> Profile:
    """Load a profile, apply overrides in their order, and validate the result.

    Args:
        reference: Name or path of the profile.
        overrides: Settings that replace those of the file.
        defaults: Values of settings that the file does not have, by their keys; None: the usual
            defaults.

    Raises:
        ProfileError: The profile cannot be found or read, or is invalid; the message lists every
            issue.
    """
    path = find_profile(reference)
    return build_profile(path, read_yaml(path), overrides, defaults=defaults)


def find_setting(reference: str | None, overrides: Sequence[Override], key: str) -> object:
    """Return what a profile with these overrides says of a setting, unchecked; None: nothing.

    Raises:
        ProfileError: The profile cannot be found or read.
    """
    given = [override.value for override in overrides if override.key == key]
    section, _, name = key.partition(".")
    document = read_yaml(find_profile(reference)).data if reference else None
    table = document.get(section) if isinstance(document, dict) else None
    return given[-1] if given else table.get(name) if isinstance(table, dict) else None


def build_profile(
    path: Path,
    document: Document,
    overrides: Sequence[Override],
    *,
    exported: bool = False,
    defaults: Mapping[str, object] | None = None,
) -> Profile:
    """Apply overrides to a parsed profile in their order, and validate the result.

    Args:
        path: The file of the document, for messages.
        document: The parsed file.
        overrides: Settings that replace those of the document.
        exported: Whether it is the profile in an exported file, which lists every setting of its
            version like a run's.
        defaults: Values of settings that the document does not have, by their keys.

    Raises:
        ProfileError: The profile is invalid; the message lists every issue.
    """
    if not isinstance(document.data, dict | None):
        raise ProfileError(f"{path}: a profile consists of sections such as training:")
    of_run = exported or _exists(path.with_name(RUN_MANIFEST))
    missing = {**(VALUES_BEFORE if of_run else {}), **(defaults or {})}
    merged = _MergedProfile(path, document, overrides, missing)
    try:
        profile = Profile.model_validate(merged.values)
    except ValidationError as error:
        raise merged.to_error(explain_errors(error)) from None
    issues = [*check_rules(profile), *([] if of_run else check_untrained(profile))]
    if issues:
        raise merged.to_error(issues)
    return profile


def check_before_training(profile: Profile, run: str = "") -> None:
    """Check what a run's profile may say, but not while it is trained.

    Args:
        profile: The profile.
        run: Name of the run that is resumed; "" for a new one.

    Raises:
        ProfileError: It cannot be trained.
    """
    for issue in check_untrained(profile):
        if not run:
            raise ProfileError(issue.problem, issue.hint)
        sampler = profile.sampling.sampler
        raise ProfileError(
            f"sampling.sampler: {sampler} belongs to the network of run {run} as it is now, and "
            "sample grids are made while training changes it",
            f"Resume with another one: iddm resume {run} --set sampling.sampler=dpmpp-2m. "
            f"Afterwards: iddm tune-sampler {run}, then iddm generate {run} --sampler {sampler}",
        )


def resolve_trained_profile(path: Path, profile: Profile) -> ResolvedProfile:
    """Return the profile of a trained model, whose number of channels is known.

    Args:
        path: The file of the profile, for messages.
        profile: The loaded profile.

    Raises:
        ProfileError: The profile does not contain the number of channels.
    """
    if profile.data.channels == "auto":
        raise ProfileError(
            f"{path}: data.channels is auto, but a trained model has a fixed number of channels",
            "Set data.channels to 1 (greyscale), 3 (RGB) or the number of bands it was trained on.",
        )
    return profile.resolve(profile.data.channels)


class _MergedProfile:
    """The values of a file with overrides applied, and the origin of each value."""

    def __init__(
        self,
        path: Path,
        document: Document,
        overrides: Sequence[Override],
        defaults: Mapping[str, object],
    ) -> None:
        self.path = path
        self.document = document
        self.values: dict[str, Any] = json.loads(json.dumps(document.data or {}))
        self.origins: dict[str, str] = {}
        self._add_defaults(defaults)
        self._drop_default_epochs(self._section("training"))
        for override in overrides:
            if override.key == "model.network":
                self._drop_other_networks(self._section("model"), override.value)
        for override in overrides:
            self._apply(override)

    def _add_defaults(self, defaults: Mapping[str, object]) -> None:
        """Add settings that the file lacks; those of a model only where it is the same backbone."""
        network = self._section("model").get("network", defaults.get("model.network"))
        for dotted, value in defaults.items():
            name, _, key = dotted.partition(".")
            if name != "model" or network == defaults["model.network"]:
                self._section(name).setdefault(key, value)

    def _section(self, name: str) -> dict[str, Any]:
        section = self.values.get(name)
        if section is None:
            section = self.values[name] = {}
        return section if isinstance(section, dict) else {}

    def _apply(self, override: Override) -> None:
        section, _, key = override.key.partition(".")
        self._section(section)[key] = override.value
        self.origins[override.key] = override.origin
        # Steps and epochs exclude each other: the last one given wins.
        other = {"steps": "epochs", "epochs": "steps"}.get(key)
        if section == "training" and other and override.value is not None:
            self._section(section)[other] = None
        # Crops are the size trained at: the last one given is both.
        data = self._section("data")
        if override.key == "data.crop" and override.value is not None:
            data["image_size"] = override.value
        if override.key == "data.image_size" and data.get("crop") is not None:
            data["crop"] = override.value

    @staticmethod
    def _drop_default_epochs(training: dict[str, Any]) -> None:
        if training.get("steps") is not None and "epochs" not in training:
            training["epochs"] = None

    @staticmethod
    def _drop_other_networks(model: dict[str, Any], network: object) -> None:
        """Drop the file's settings that belong to other backbones than the one asked for."""
        if not isinstance(network, str) or network not in MODEL_SETTINGS:
            return
        own = MODEL_SETTINGS[network].model_fields
        for key in [key for key in model if key not in own and list_owners(key)]:
            del model[key]

    def to_error(self, issues: Sequence[Issue]) -> ProfileError:
        """Return one error that lists all issues, each with its file and line or option."""
        if len(issues) == 1:
            return ProfileError(f"{self._locate(issues[0])}: {issues[0].problem}", issues[0].hint)
        lines = (
            f"{self._locate(i)}: {i.problem}{f' ({i.hint})' if i.hint else ''}" for i in issues
        )
        return ProfileError("\n".join(lines))

    def _locate(self, issue: Issue) -> str:
        for end in range(len(issue.path), 0, -1):
            key = ".".join(map(str, issue.path[:end]))
            if key in self.origins:
                return self.origins[key]
            line = self.document.line(issue.path[:end])
            if line is not None:
                return f"{self.path}, line {line}"
        return str(self.path)
