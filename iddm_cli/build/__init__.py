"""The seam between settings and objects: only this folder knows both profiles and the engine."""

from iddm_cli.build.data import choose_cache, learnt_from, make_batches
from iddm_cli.build.models import (
    Saved,
    import_model,
    imported_files,
    load_denoiser,
    load_model,
    load_served,
    make_generator,
    story_of,
)
from iddm_cli.build.networks import check_room, make_denoiser, picture_shape
from iddm_cli.build.place import Place, check_shared, choose_place
from iddm_cli.build.training import (
    MEMORY_SHARE,
    check_trainable,
    estimate,
    largest_micro_batch,
    make_trainer,
    plan_steps,
)

__all__ = [
    "MEMORY_SHARE",
    "Place",
    "Saved",
    "check_room",
    "check_shared",
    "check_trainable",
    "choose_cache",
    "choose_place",
    "estimate",
    "import_model",
    "imported_files",
    "largest_micro_batch",
    "learnt_from",
    "load_denoiser",
    "load_model",
    "load_served",
    "make_batches",
    "make_denoiser",
    "make_generator",
    "make_trainer",
    "picture_shape",
    "plan_steps",
    "story_of",
]
