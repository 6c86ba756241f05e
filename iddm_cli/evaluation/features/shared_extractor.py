"""The feature network of a dataset, which all evaluations on this machine share."""

from iddm_cli.data.cache import describe_entry, hold_entry
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.features.extractor import FeatureExtractor, load_or_train
from iddm_cli.evaluation.image_set import ImageSet


def load_extractor(
    training: ImageSet, test: ImageSet, *, progress: ProgressCallback = no_progress
) -> FeatureExtractor:
    """Load the feature network of a dataset from the user's cache, or train it.

    Of several processes that need the same one, one trains it, and the others wait for that.

    Args:
        training: Images to train on.
        test: Other images, on which its accuracy is measured; may be empty.
        progress: Called after every step and batch.

    Raises:
        DatasetError: There is no image to train on, or no folder for the cache.
    """
    folder = describe_entry("features", training.digest, training.name)
    with hold_entry(folder, progress):
        return load_or_train(training, test, folder=folder, progress=progress)
