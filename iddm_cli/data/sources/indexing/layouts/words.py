"""Words in the names of folders: how people write `training_set`, `train2017` or `leftImg8bit`."""

import re
import unicodedata
from collections.abc import Mapping

_BOUNDARIES = re.compile(
    r"(?<=[a-z])(?=[A-Z])"  # trainA, gtFine
    r"|(?<=[A-Z])(?=[A-Z][a-z])"  # JPEGImages
)
_WORD = re.compile(r"[^\W\d_]+")


def split_words(name: str) -> list[str]:
    """Return the words of a name, in lower case and without digits."""
    spaced = _BOUNDARIES.sub(" ", unicodedata.normalize("NFKC", name))
    return _WORD.findall(spaced.lower())


def join_phrases(words: list[str], phrases: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the words with each pair that is a phrase joined: ground, truth."""
    joined = list(words)
    for i in range(len(joined) - 1, 0, -1):
        if phrase := phrases.get((joined[i - 1], joined[i])):
            joined[i - 1 : i + 1] = [phrase]
    return joined


def word_set(*lines: str) -> frozenset[str]:
    """Return the words of these lines."""
    return frozenset(" ".join(lines).split())


FILLERS = word_set(
    "set sets data dataset datasets split splits part dir folder file files final new all full",
    "image images img imgs im pic pics photo photos frame frames sample samples",
    "pictures",
    "example examples jpg jpeg png crop crops cropped resized the of for and only x px",
)
"""Words that say nothing about what a folder holds: `train_images` is a `train`."""

IMAGE_WORDS = word_set(
    "image images img imgs im pic pics photo photos frame frames jpegimages",
    "pictures",
    "leftimg bit rgb original originals orig raw jpg jpeg png scan scans slice slices tile tiles",
    "data dataset sat ortho color colour x xray",
)
"""Words of a folder of images that has masks or annotations beside it."""

MAIN_IMAGE_WORDS = word_set("image images img imgs im jpegimages leftimg photos rgb")
"""Words of such a folder that decide even among other words: CelebA-HQ-img."""

DOCUMENT_WORDS = word_set(
    "doc docs documentation readme paper papers figure figures figs assets screenshots demo demos",
    "results logo logos icons",
)
"""Words of folders that may lie beside a folder around all classes, with a few images."""
