"""System files: what is not the user's, by its name."""

import pytest

from iddm_cli.data.sources.indexing.system_files import HIDDEN, SYSTEM_ROWS, find_reason

FOLDERS = {
    "Synology DSM": ["@eaDir", "#recycle", "#snapshot", "@tmp"],
    "QNAP QTS": ["@Recycle", "@Recently-Snapshot", ".@__thumb"],
    "a NAS": [".snapshot", "~snapshot", ".zfs", "Recycle Bin - Volume_1"],
    "Windows": ["$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER", "FOUND.000",
                "System Volume Information"],
    "macOS": ["__MACOSX", ".Trashes", ".Spotlight-V100", ".fseventsd", ".AppleDouble",
              "Network Trash Folder", "Temporary Items", ".TemporaryItems"],
    "Linux": ["lost+found", ".Trash-1000", ".thumbnails"],
    "Android": ["LOST.DIR"],
    "Jupyter": [".ipynb_checkpoints"],
    "Python": ["__pycache__", "venv", ".venv"],
    "npm": ["node_modules"],
    "version control": [".git", ".svn"],
    "an editor": [".idea", ".vscode"],
    "Dropbox": [".dropbox.cache"],
    "Google Drive": [".tmp.drivedownload", ".tmp.driveupload"],
    "Syncthing": [".stfolder", ".stversions"],
    "Resilio Sync": [".sync"],
    "Adobe Lightroom": ["Catalog Previews.lrdata"],
    "Picasa": [".picasaoriginals"],
}  # fmt: skip
FILES = {
    "Synology DSM": ["SYNOPHOTO_THUMB_XL.jpg", "x.jpg@SynoEAStream"],
    "Windows": ["Thumbs.db", "THUMBS.DB", "Thumbs.db:encryptable", "desktop.ini", "~$x.png",
                "x.png:Zone.Identifier"],
    "macOS": [".DS_Store", "._x.png", "Icon\r", ".localized"],
    "Linux": [".nfs0001", ".fuse_hidden01"],
    "Android": [".trashed-1690000000-x.jpg", ".pending-1-x.jpg"],
    "an editor": ["x.png~", ".x.swp", "#x#", ".#x", ".~lock.x.png#"],
    "Dropbox": [".dropbox"],
    "ownCloud or Nextcloud": [".owncloudsync.log", ".sync_a1.db"],
    "iCloud, which has not downloaded the file": [".x.jpg.icloud"],
}  # fmt: skip
OF_THE_USER = ["cat", "..x", "trash", "Recycle", "recycled", "100CANON", "DCIM", "#1", "@cat",
               "x~y", "thumbs", "x (conflicted copy).png", "1.png", "--help", "env", "cache",
               "snapshot", "$5", "Windows", "Android", "Picasa", "libs", "x.db.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("is_folder", "creator", "name"),
    [
        (is_folder, creator, name)
        for is_folder, table in ((True, FOLDERS), (False, FILES))
        for creator, names in table.items()
        for name in names
    ],
)
def test_creators(is_folder: bool, creator: str, name: str) -> None:
    assert find_reason(name, is_folder=is_folder) == f"created by {creator}"


@pytest.mark.parametrize("name", OF_THE_USER)
def test_names_of_the_user(name: str) -> None:
    assert find_reason(name, is_folder=True) is None
    assert find_reason(name, is_folder=False) is None


def test_other_names_with_a_dot_are_hidden() -> None:
    assert (
        find_reason(".mine", is_folder=True) == find_reason(".mine.png", is_folder=False) == HIDDEN
    )


def test_each_name_has_one_creator_and_is_in_lower_case() -> None:
    for names in ([n for row in SYSTEM_ROWS for n in row.folders],
                  [n for row in SYSTEM_ROWS for n in row.files]):  # fmt: skip
        assert len({*names}) == len(names)
        assert all(name == name.lower() for name in names)
