"""Missing features: each reported once, and none lost before somebody listens."""

import errno
from pathlib import Path
from threading import Thread

import pytest

from iddm_cli.storage import features
from iddm_cli.storage.features import FEATURES, MissingFeatures


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_is_reported_once_whatever_the_folder(feature):
    missing, told = MissingFeatures(), []
    missing.listen(told.append)
    missing.report(feature, Path("runs"))
    missing.report(feature, Path("elsewhere"))
    assert told == [f"runs is on a file system that {FEATURES[feature]}"]
    assert missing.is_known(feature)


def test_what_is_reported_before_somebody_listens_is_kept():
    missing, told = MissingFeatures(), []
    missing.report("lock", Path("runs"))
    missing.listen(told.append)
    missing.listen(told.append)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("folder", "named"),
    [("runs/.partial-7-first/samples", "runs"), (".", "the current folder"), ("/a/b", "/a/b")],
)
def test_the_folder_is_named_as_the_user_knows_it(folder, named):
    missing, told = MissingFeatures(), []
    missing.listen(told.append)
    missing.report("lock", Path(folder))
    assert told[0].startswith(f"{named} is on a file system that cannot lock")


def test_many_threads_report_once():
    missing, told = MissingFeatures(), []
    missing.listen(told.append)
    threads = [Thread(target=missing.report, args=("lock", Path("runs"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT])
@pytest.mark.parametrize("name", [name for name in dir(features) if name.startswith("NO_")])
def test_a_failure_is_no_missing_feature(name, code):
    assert code not in getattr(features, name)


@pytest.mark.parametrize("name", ["NO_FLUSH_FOLDER", "NO_APPEND", "NO_MAP", "NO_RENAME"])
def test_a_broken_disk_is_no_missing_feature(name):
    assert errno.EIO not in getattr(features, name)
