"""The Dockerfile, as far as reading it can tell: pinned, slim, never root, and of this tree."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dvc.config import Config

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    " ".join(line.split())
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    if line.strip()
]


def stages() -> dict[str, list[str]]:
    """Instructions by target; each begins with its FROM."""
    found: dict[str, list[str]] = {}
    for instruction in INSTRUCTIONS:
        if start := re.fullmatch(r"FROM (\S+) AS (\S+)", instruction):
            found[start[2]] = []
        if found:
            found[list(found)[-1]].append(instruction)
    return found


def parent_of(name: str) -> str:
    return stages()[name][0].split()[1]


@pytest.mark.parametrize("target", ["pipeline", "search"])
def test_target_exists_and_does_not_end_as_root(target: str):
    users = [line.split()[1] for line in stages()[target] if line.startswith("USER ")]
    assert users
    assert users[-1].split(":")[0] not in {"root", "0"}


def test_base_is_pinned_to_a_patch_version_and_its_digest_and_slim():
    (version,) = [line for line in INSTRUCTIONS if line.startswith("ARG PYTHON=")]
    assert re.fullmatch(r"ARG PYTHON=3\.1[12]\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", version)
    assert "latest" not in TEXT


def test_hadolint_finds_nothing():
    program = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run(
        [program, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_installer_is_pinned():
    assert re.search(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+ ", TEXT)


def test_no_secret_is_built_in():
    told = [line for line in INSTRUCTIONS if line.startswith(("ARG ", "ENV "))]
    assert not [line for line in told if re.search("PASSWORD|SECRET|TOKEN|KEY", line)]


def test_nothing_is_fetched_by_add_and_package_lists_are_removed():
    assert not any(line.startswith("ADD ") for line in INSTRUCTIONS)
    for line in INSTRUCTIONS:
        if "apt-get install" in line:
            assert "--no-install-recommends" in line
            assert "rm -rf /var/lib/apt/lists/*" in line


def test_folders_that_volumes_are_mounted_on_belong_to_the_user():
    mounted = set(re.findall(r"\w+:(/app/[\w/]+)", (ROOT / "compose.yaml").read_text()))
    (made,) = [line for line in stages()["runtime"] if "install --directory" in line]
    assert {"/app/var", "/app/artifacts"} <= mounted & set(made.split())


def test_only_the_first_stage_comes_from_outside():
    outside = [name for name in stages() if parent_of(name) not in stages()]
    assert [parent_of(name) for name in outside] == ["python:${PYTHON}"]


def test_images_carry_no_build_tools():
    assert {parent_of("pipeline"), parent_of("search")} == {"runtime"}
    assert not any("uv" in line.split() for line in stages()["runtime"])


def test_search_image_is_made_without_the_pipelines_packages():
    installs = [line for line in stages()["builder"] if "uv pip install" in line]
    assert installs
    assert not any(re.search(r"\[.*(pipeline|team)", line) for line in installs)
    assert any("'.[postgres]'" in line for line in installs)
    assert any("--from=builder " in line for line in stages()["search"])


def test_search_needs_no_orchestration_and_the_pipeline_extra_holds_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[=<>]", text)[0] for text in project["dependencies"]}
    extra = {re.split(r"[=<>]", text)[0] for text in project["optional-dependencies"]["pipeline"]}
    heavy = {"dagster", "dagster-webserver", "mlflow", "dvc", "great_expectations"}
    assert names.isdisjoint(extra | heavy)
    assert heavy <= extra
    assert any("'.[pipeline,team]'" in line for line in stages()["pipeline-builder"])
    assert "'.[pipeline]'" in (ROOT / ".ci" / "setup").read_text()


@pytest.mark.parametrize("builder", ["builder", "pipeline-builder"])
def test_device_is_a_build_argument(builder: str):
    assert 'ARG TORCH_INDEX=""' in stages()[builder]
    assert any("$TORCH_INDEX" in line for line in stages()[builder] if line.startswith("RUN"))


def test_everything_copied_from_the_tree_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in INSTRUCTIONS:
        if line.startswith("COPY ") and "--from=" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert source not in ignored


def test_state_data_and_history_stay_out_of_the_image():
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".git", ".venv", "var", "data"} <= ignored


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_extras_that_are_installed_are_those_of_the_project():
    known = set(project()["project"]["optional-dependencies"])
    named = [name for found in re.findall(r"'\.\[([\w,]+)\]'", TEXT) for name in found.split(",")]
    assert named
    assert set(named) <= known


def test_all_that_the_packages_build_reads_is_copied_before_it():
    copied: set[str] = set()
    for line in stages()["builder"]:
        if line.startswith("COPY "):
            copied |= set(line.split()[1:-1])
        if "uv pip install" in line:
            break
    settings = project()
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = {package.split("/")[0] for package in wheel["packages"]}
    about = {settings["project"]["readme"], *settings["project"]["license-files"]}
    assert {"pyproject.toml", *about, *packages} == copied


def test_stages_that_are_copied_from_come_before():
    names = list(stages())
    for name, lines in stages().items():
        for source in re.findall(r"--from=(\S+)", " ".join(lines)):
            assert names.index(source) < names.index(name)


def test_variables_are_declared_in_the_stage_that_reads_them():
    for name, lines in stages().items():
        inherited = lines if parent_of(name) not in stages() else lines + stages()[parent_of(name)]
        declared = {found for line in inherited for found in re.findall(r"^ARG (\w+)", line)}
        declared |= {found for line in inherited for found in re.findall(r"(\w+)=", line)}
        read = {found for line in lines for found in re.findall(r"\$\{?(\w+)", line)}
        assert read - {"PATH", "PYTHON"} <= declared, name  # PYTHON is of all stages' own FROM


def test_what_the_images_start_is_installed():
    ((program,),) = [
        json.loads(line.partition(" ")[2])
        for line in stages()["search"]
        if line.startswith("ENTRYPOINT ")
    ]
    assert program in project()["project"]["scripts"]
    ((python, flag, module),) = [
        json.loads(line.partition(" ")[2])
        for line in stages()["pipeline"]
        if line.startswith("CMD ")
    ]
    assert (python, flag) == ("python", "-m")
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_dvc_takes_the_settings_that_the_image_gives_it(tmp_path: Path):
    """The commands themselves, where the image has them run: in the tree without its history."""
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    (line,) = [line for line in stages()["pipeline"] if "dvc config" in line]
    commands = [part for part in line.removeprefix("RUN ").split(" && ") if part.startswith("dvc ")]
    program = Path(sys.executable).with_name("dvc")
    for command in commands:
        subprocess.run([program, *command.split()[1:]], cwd=tmp_path, check=True)
    config = Config(str(tmp_path / ".dvc"))
    assert config["core"]["no_scm"]
    assert config["core"]["site_cache_dir"] == "/tmp/dvc"  # noqa: S108  the container's own
    assert config["cache"]["dir"] == "/app/var/cache/dvc"
