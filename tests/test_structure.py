"""The structure of the package: names that mean one thing, folders of a size, no import circle."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "iddm_cli"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)

MOST_MODULES_IN_A_FOLDER = 12

IRREGULAR_PARTICIPLES = {
    "begun", "bound", "cut", "done", "drawn", "found", "given", "held", "kept", "left", "made",
    "sent", "shown", "split_up", "taken", "told", "unwritten", "written",
}  # fmt: skip
NOT_PARTICIPLES = {"embed", "feed", "need", "proceed", "read", "seed", "speed", "unneed"}

SAME_FILE_NAME_IN_SEVERAL_FOLDERS = {
    # The folder says the difference at once.
    "diffusers", "onnx", "pt2", "safetensors",  # commands/export, export, importing
    "model", "memory", "trainer", "data", "networks", "serving", "importing", "exporting",  # build
    "generation", "models", "profiles", "runs", "train", "resume", "generate", "cache", "serve",
    "inspection", "metadata", "progress", "profile", "launch", "events", "export", "errors",
    "registry", "options", "files", "held_out",
}  # fmt: skip


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Return the modules that a file imports anywhere: deferred, or for type checkers, too."""
    imported = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            imported |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return (imported & modules) - {module_name(path)}


def find_circle(graph: dict[str, set[str]]) -> list[str] | None:
    """Return the modules of one import circle, or None: depth first, colouring what is done."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str] | None:
        if module in trail:
            return trail[trail.index(module) :]
        if module in done:
            return None
        found = (visit(name, [*trail, module]) for name in sorted(graph[module]))
        circle = next(filter(None, found), None)
        done.add(module)
        return circle

    return next(filter(None, (visit(module, []) for module in graph)), None)


def test_no_import_circle_between_files():
    modules = {module_name(path) for path in MODULES}
    graph = {module_name(path): imports_of(path, modules) for path in MODULES}
    assert find_circle(graph) is None


def test_a_circle_would_be_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_no_folder_holds_more_than_a_dozen_modules():
    counts: dict[Path, int] = defaultdict(int)
    for path in MODULES:
        counts[path.parent] += path.name != "__init__.py"
    assert {d: n for d, n in counts.items() if n > MOST_MODULES_IN_A_FOLDER} == {}


def test_no_two_public_classes_share_a_name():
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module_name(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def is_bare_participle(name: str) -> bool:
    word = name.strip("_")
    if "_" in word or word in NOT_PARTICIPLES:
        return False
    return word.endswith("ed") or word in IRREGULAR_PARTICIPLES


def test_functions_are_verbs_and_not_bare_participles():
    found = [
        f"{module_name(path)}.{node.name}"
        for path in MODULES
        for node in parse(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and is_bare_participle(node.name)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "expected"), [("noted", True), ("_told", True), ("seed", False), ("load_saved", False)]
)
def test_bare_participles_are_recognised(name, expected):
    assert is_bare_participle(name) is expected


def test_a_file_name_says_one_thing():
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if path.name != "__init__.py":
            places[path.stem].append(str(path.relative_to(PACKAGE)))
    twice = {stem: where for stem, where in places.items() if len(where) > 1}
    assert {s: w for s, w in twice.items() if s not in SAME_FILE_NAME_IN_SEVERAL_FOLDERS} == {}


MIRRORED = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if path.parent.name]

ACROSS_MODULES = {"e2e", "faults", "gpu", "hostile", "golden", "laws"}
"""Folders of tests that drive the whole program, and mirror no module."""

OF_THE_PROJECT = {"test_structure", "test_prose", "test_house", "test_readme", "test_golden",
                  "test_recipes", "test_tables", "test_seams", "test_benchmarks",
                  "test_adding_a_sampler"}  # fmt: skip
"""Tests at the top that hold the project's own rules."""


def test_tests_mirror_the_package():
    astray = []
    for path in MIRRORED:
        inside = path.relative_to(ROOT / "tests")
        if inside.parts[0] in ACROSS_MODULES or path.stem in OF_THE_PROJECT:
            continue
        subject = PACKAGE / inside.parent / path.stem.removeprefix("test_")
        if not subject.with_suffix(".py").exists() and not subject.is_dir():
            astray.append(str(inside))
    assert astray == []


TESTED_THROUGH = {
    "data/packs/record": "data/packs/test_store.py",
    "__main__": "e2e/test_command_line.py",
    "build/importing": "importing/test_diffusers.py",
    "build/speed/training_probe": "e2e/test_train.py",
    "checkpoints/files": "importing/test_files.py",
    "checkpoints/weights_source": "export/test_exported_weights.py",
    "commands/acceleration/tune_sampler": "e2e/test_tuning.py",
    "commands/weights/average": "e2e/test_average.py",
    "workflows/averaging/average_report": "e2e/test_average.py",
    "commands/cache": "e2e/test_cache.py",
    "commands/distill": "e2e/test_distill.py",
    "commands/evaluate": "e2e/test_evaluate.py",
    "commands/export/diffusers": "e2e/test_export.py",
    "commands/export/onnx": "e2e/test_export.py",
    "commands/export/pt2": "e2e/test_export.py",
    "commands/export/safetensors": "e2e/test_export.py",
    "commands/export/shared": "e2e/test_export.py",
    "commands/generate": "e2e/test_generate.py",
    "commands/inspect_dataset": "e2e/test_inspect.py",
    "commands/machine/bench": "e2e/test_machine.py",
    "commands/machine/doctor": "e2e/test_machine.py",
    "commands/options/guidance_options": "e2e/test_generate.py",
    "commands/profiles": "e2e/test_command_line.py",
    "commands/resume": "e2e/test_resume.py",
    "commands/runs": "e2e/test_runs.py",
    "commands/train": "e2e/test_train.py",
    "commands/upscale": "e2e/test_upscale.py",
    "commands/options/upscaling_options": "e2e/test_upscale.py",
    "workflows/upscaling/image_upscaling": "e2e/test_upscale.py",
    "data/inspection/report_data": "data/inspection/test_summary.py",
    "data/packs/disk_room": "data/packs/test_auto_channels.py",
    "data/packs/journal": "data/packs/test_store.py",
    "data/packs/slices/joining": "data/packs/slices/test_sliced_build.py",
    "data/packs/stale_partials": "data/packs/test_store.py",
    "data/progress": "data/packs/test_builder.py",
    "data/sources/indexing/layouts/folder_tree": "data/sources/indexing/layouts/test_resolver.py",
    "data/sources/indexing/layouts/layout_notes": "data/sources/indexing/layouts/test_resolver.py",
    "data/sources/indexing/layouts/masks": "data/sources/indexing/layouts/test_resolver.py",
    "data/sources/indexing/layouts/words": "data/sources/indexing/layouts/test_splits.py",
    "diffusion/lookup": "profiles/test_choices.py",
    "display/html/curve_plots": "display/test_evaluation_page.py",
    "display/html/evaluation_overview": "display/test_evaluation_page.py",
    "display/html/template": "display/test_evaluation_page.py",
    "display/html/usefulness_section": "display/test_evaluation_page.py",
    "engine/optimization/joint": "engine/optimization/test_optimizers.py",
    "profiles/checking/origin_rules": "profiles/checking/test_rules.py",
    "engine/sampling/solver_choice": "engine/test_image_generator.py",
    "engine/monitoring/update_diagnosis": "engine/monitoring/test_nonfinite.py",
    "engine/optimization/never_compiled": "engine/optimization/test_optimizers.py",
    "evaluation/features/shared_extractor": "build/test_evaluator.py",
    "export/onnx/exporter": "e2e/test_export.py",
    "export/onnx/pixel_nodes": "export/onnx/test_pipeline.py",
    "export/trained_model": "build/test_exporting.py",
    "workflows/cache_listing": "e2e/test_cache.py",
    "workflows/evaluating/image_warnings": "workflows/evaluating/test_real_images.py",
    "display/html/fidelity_page": "display/test_evaluation_page.py",
    "workflows/evaluating/references/reference_report": "e2e/test_references.py",
    "workflows/evaluating/references/fidelity_report": "e2e/test_references.py",
    "workflows/generating/checking": "e2e/test_generate.py",
    "workflows/generating/image_writing": "e2e/test_generate.py",
    "workflows/generating/launch": "e2e/test_generate.py",
    "workflows/importing": "e2e/test_import.py",
    "workflows/planning/planned_run": "workflows/planning/test_plan.py",
}
"""Modules without a test file of their name, and the tests that drive them."""


def has_behaviour(path: Path) -> bool:
    """Return whether a module defines functions or methods."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(parse(path)))


def test_every_module_is_tested_by_a_file_of_its_name_or_by_a_named_one():
    missing = []
    for path in MODULES:
        inside = path.relative_to(PACKAGE)
        own = ROOT / "tests" / inside.parent / f"test_{path.stem}.py"
        if path.name == "__init__.py" or own.exists() or not has_behaviour(path):
            continue
        named = TESTED_THROUGH.get(inside.with_suffix("").as_posix())
        if named is None or not (ROOT / "tests" / named).exists():
            missing.append(inside.with_suffix("").as_posix())
    assert missing == []


def test_no_stale_entry_says_where_a_module_is_tested():
    modules = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in MODULES}
    own = {
        m for m in modules if (ROOT / "tests" / Path(m).parent / f"test_{Path(m).name}.py").exists()
    }
    assert {name for name in TESTED_THROUGH if name not in modules or name in own} == set()


def test_a_long_file_is_one_thing():
    """350 lines are the mark; only tables of settings and of messages may be longer."""
    lengths = {module_name(path): path.read_text().count("\n") for path in MODULES}
    long = {name: lines for name, lines in lengths.items() if lines > 350}
    tables = {"settings", "model_settings", "checking.messages"}
    assert set(long) <= {f"iddm_cli.profiles.{name}" for name in tables}, long


def test_no_machine_path_stands_in_the_code():
    pattern = re.compile(r"/(root|home|work|tmp)/\w+")
    found = [module_name(path) for path in MODULES if pattern.search(path.read_text())]
    assert found == []
