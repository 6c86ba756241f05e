"""Tuning a sampler through the command: the run keeps it, and exports carry it."""

import json

from .conftest import SMOKE, Shell


def test_a_run_is_tuned_and_generates_with_it_also_as_a_file(shell: Shell):
    shell.iddm(*SMOKE, "--steps", "4", "--name", "pets")
    missing = shell.iddm("generate", "pets", "--sampler", "tuned", expect=2)
    assert "iddm tune-sampler pets" in missing.err
    tuned = shell.iddm("tune-sampler", "pets", "--calls", "3,2", "--noises", "16", "--json")
    assert [table["calls"] for table in tuned.json()["tables"]] == [2, 3]
    assert json.loads((shell.folder / "runs/pets/tuned_samplers.json").read_text())["format"] == 1

    few = ("--sampler", "tuned", "--count", "2", "--json", "--out")
    made = shell.iddm("generate", "pets", *few, "a").json()
    assert (made["sampler"], made["steps"]) == ("tuned", 3)
    shell.iddm("export", "safetensors", "pets")
    again = shell.iddm("generate", "pets.safetensors", *few, "b").json()
    for name in made["images"]:
        assert (shell.folder / "a" / name).read_bytes() == (shell.folder / "b" / name).read_bytes()
    assert again["steps"] == 3

    other = shell.iddm("generate", "pets", *few, "c", "--steps", "2", "--guidance", "4")
    assert other.err.count("was tuned with guidance") == 1
    shell.iddm("generate", "pets", *few, "d", "--steps", "9", expect=2)
    for arguments, code in ((("--calls", "1"), 2), (("--calls", "500"), 2), (("gone",), 4)):
        refused = shell.iddm("tune-sampler", *arguments, expect=code)
        assert refused.err.count("error:") == 1
    shell.iddm("tune-sampler", "pets.safetensors", expect=2)
    check_that_a_run_whose_default_it_is_resumes_with_another_one(shell, few)

    (shell.folder / "runs/pets/tuned_samplers.json").write_text("{")
    damaged = shell.iddm("export", "safetensors", "pets", "--overwrite")
    assert "the file holds no tuned samplers" in " ".join(damaged.err.split())
    refused = shell.iddm("generate", "pets", *few, "e", expect=4)
    assert "iddm tune-sampler pets" in refused.json()["error"]["hint"]


def check_that_a_run_whose_default_it_is_resumes_with_another_one(shell: Shell, few):
    """Its profile may name it for `iddm generate`; the tables fit no network that is trained on."""
    profile = shell.folder / "runs/pets/profile.yaml"
    own = next(line for line in profile.read_text().splitlines() if line.startswith("  sampler: "))
    profile.write_text(profile.read_text().replace(own, "  sampler: tuned"))
    made = shell.iddm("generate", "pets", "--steps", "3", *few[2:], "default").json()
    assert (made["sampler"], made["steps"]) == ("tuned", 3)
    more = ("resume", "pets", "--steps", "5")
    refused = " ".join(shell.iddm(*more, expect=2).err.split())
    another = ("--set", "sampling.sampler=dpmpp-2m")
    assert f"iddm resume pets {' '.join(another)}" in refused
    assert "tuned" in profile.read_text(), "a refused command changes nothing"
    assert "finished pets" in shell.iddm(*more, *another).err
    stale = shell.iddm("generate", "pets", *few, "stale").err
    assert "was tuned with step 4, not 5" in " ".join(stale.split())


def test_a_run_cannot_be_trained_with_a_sampler_that_is_tuned_to_it(shell: Shell):
    sampler = ("--set", "sampling.sampler=tuned")
    for command in ((*SMOKE, "--dry-run"), SMOKE):
        refused = shell.iddm(*command, *sampler, expect=2)
        assert "iddm tune-sampler" in refused.err
