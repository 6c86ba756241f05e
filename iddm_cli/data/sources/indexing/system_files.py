"""System files: what systems and programs put into people's folders, which is never a dataset's.

Names are compared without regard to case, because disks are moved between systems.
"""

import re
from dataclasses import dataclass
from fnmatch import translate

HIDDEN = "hidden"
"""Reason to skip an entry whose name begins with a dot, and whose creator is unknown."""


@dataclass(frozen=True)
class SystemRow:
    """The names that one system or program uses."""

    creator: str

    folders: tuple[str, ...] = ()
    """Patterns of folders, as in a shell, in lower case."""

    files: tuple[str, ...] = ()
    """Patterns of files, likewise."""


SYSTEM_ROWS = (
    SystemRow(
        "Synology DSM",
        ("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin"),
        ("synophoto_thumb*", "synofile_thumb*", "synovideo_*", "*@synoeastream", "*@synoresource"),
    ),
    SystemRow("Synology Drive", ("synologyworkingdirectory", ".synologyworkingdirectory")),
    SystemRow(
        "QNAP QTS",
        ("@recycle", "@recently-snapshot", "@transcode", ".@__thumb", "@__thumb", ".@*"),
    ),
    SystemRow(
        "a NAS",  # NetApp, ZFS, Samba, D-Link, TrueNAS, Unraid, Western Digital
        (
            *(".snapshot", "~snapshot", ".snapshots", ".zfs", ".recycle", ".recycle.bin"),
            *("recycle bin - volume_*", "nas_prog", ".wdmc"),
        ),
    ),
    SystemRow(
        "Windows",
        (
            *(
                "$recycle.bin",
                "recycle.bin",
                "recycler",
                "system volume information",
                "found.[0-9][0-9]*",
            ),
            *("config.msi", "msocache", "$windows.~*"),
        ),
        (
            *("thumbs.db", "thumbs.db:*", "ehthumbs*.db", "desktop.ini", "*:zone.identifier"),
            *("*:encryptable", "~$*", "autorun.inf", "iconcache.db"),
        ),
    ),
    SystemRow(
        "macOS",
        (
            *("__macosx", ".trashes", ".trash", ".spotlight-v100", ".fseventsd", ".appledouble"),
            *(".documentrevisions-v100", ".temporaryitems", "network trash folder"),
            *("temporary items", "thevolumesettingsfolder", ".appledb", ".appledesktop"),
        ),
        (
            *(".ds_store", "._*", "icon\r", ".localized", "desktop db", "desktop df"),
            *(".volumeicon.icns", ".apdisk", ".com.apple.*"),
        ),
    ),
    SystemRow("iCloud, which has not downloaded the file", files=(".*.icloud",)),
    SystemRow(
        "Linux",
        ("lost+found", ".trash-*", ".thumbnails", ".cache", ".gvfs"),
        (".nfs*", ".fuse_hidden*", ".directory"),
    ),
    SystemRow("Android", ("lost.dir", ".thumbdata*"), (".trashed-*", ".pending-*", ".nomedia")),
    SystemRow("Jupyter", (".ipynb_checkpoints", ".virtual_documents")),
    SystemRow("Python", ("__pycache__", "venv", ".venv", "site-packages", ".tox", ".*_cache")),
    SystemRow("npm", ("node_modules",)),
    SystemRow("version control", (".git", ".svn", ".hg", ".bzr", ".dvc"), (".git*",)),
    SystemRow(
        "an editor",
        (".idea", ".vscode", ".vs", ".settings"),
        ("*~", ".*.sw[a-p]", "*.swp", "#*#", ".#*", ".~lock.*"),
    ),
    SystemRow("Dropbox", (".dropbox.cache",), (".dropbox", ".dropbox.attr", "dropbox.device")),
    SystemRow("Google Drive", (".tmp.drive*", ".shortcut-targets-by-id")),
    SystemRow("OneDrive", ("onedrivetemp", ".849c9593-d756-4e56-8d6e-42412f2a707b")),
    SystemRow(
        "Syncthing", (".stversions", ".stfolder*"), (".stignore", "~syncthing~*", ".syncthing.*")
    ),
    SystemRow("GoodSync", ("_gsdata_",)),
    SystemRow("FrontPage", ("_vti_cnf",)),
    SystemRow("Resilio Sync", (".sync",), ("*.!sync", "*.bts")),
    SystemRow(
        "ownCloud or Nextcloud",
        (".owncloudsync*", ".sync-exclude*"),
        (".owncloud*", ".nextcloud*", ".sync_*.db*", "._sync_*.db*", ".csync_journal*"),
    ),
    SystemRow("Box or MEGA", (".rubbish", ".debris", ".boxsync"), (".megaignore",)),
    SystemRow("Adobe Lightroom", ("*.lrdata", "*.lrcat-data")),
    SystemRow("Apple Photos; export its photos to a folder", ("*.photoslibrary", "*.aplibrary")),
    SystemRow("Capture One", ("captureone",)),
    SystemRow("Picasa", (".picasaoriginals",), (".picasa.ini", "picasa.ini")),
    SystemRow("digiKam", (".dtrash",), ("digikam4.db", "thumbnails-digikam.db")),
)


def find_reason(name: str, *, is_folder: bool) -> str | None:
    """Return why an entry is not the user's, by its name: .git, Thumbs.db, @eaDir; else None."""
    lower = name.lower()
    exact, patterns, row_of = _FOLDERS if is_folder else _FILES
    creator = exact.get(lower)
    if creator is None and (found := patterns.fullmatch(lower)):
        creator = row_of[found.lastgroup or ""]
    if creator:
        return f"created by {creator}"
    return HIDDEN if name.startswith(".") and not name.startswith("..") else None


Matcher = tuple[dict[str, str], re.Pattern[str], dict[str, str]]


def _compile(names: list[tuple[str, str]]) -> Matcher:
    """Return the creators by plain name; a regular expression of all patterns; their creators."""
    plain = {pattern: creator for pattern, creator in names if not re.search(r"[*?\[]", pattern)}
    patterns = [(pattern, creator) for pattern, creator in names if pattern not in plain]
    groups = [f"(?P<p{i}>{translate(pattern)})" for i, (pattern, _) in enumerate(patterns)]
    creators = {f"p{i}": creator for i, (_, creator) in enumerate(patterns)}
    return plain, re.compile("|".join(groups)), creators


_FOLDERS = _compile([(name, row.creator) for row in SYSTEM_ROWS for name in row.folders])
_FILES = _compile([(name, row.creator) for row in SYSTEM_ROWS for name in row.files])
