"""Versions by content, against DVC's own hash and against what should and should not count."""

import shutil
from pathlib import Path

import pytest

from dagster_project import versions
from dagster_project.versions import closure, code_version, data_version, folder_md5, plug_ins


def test_data_version_changes_with_input_config_and_code():
    base = data_version({"a": "1"}, {"lr": 0.1}, "code")
    others = [
        data_version({"a": "2"}, {"lr": 0.1}, "code"),
        data_version({"a": "1"}, {"lr": 0.2}, "code"),
        data_version({"a": "1"}, {"lr": 0.1}, "other"),
    ]
    assert base not in others
    assert len(set(others)) == 3


def test_data_version_is_blind_to_order():
    one = data_version({"a": "1", "b": "2"}, {"x": 1, "y": 2}, "c")
    assert one == data_version({"b": "2", "a": "1"}, {"y": 2, "x": 1}, "c")


def test_closure_follows_imports_and_leaves_config_out():
    found = closure(["finecap.training.mle"])
    assert {"finecap.training.loop", "finecap.models.captioner", "finecap.losses"} & found
    assert "finecap.training.mle" in found
    assert "finecap.config" not in found


def test_closure_covers_every_module_that_running_it_imports():
    # What the syntax says must be at least what Python really loads.
    import subprocess
    import sys

    entry = "finecap.negatives.grammar"
    code = f"import sys, {entry}; print([m for m in sys.modules if m.startswith('finecap.')])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(eval(loaded.stdout))  # noqa: S307  a list of our own names
    assert {m for m in modules if not versions.is_left_out(m)} <= closure([entry])


def test_unknown_module_is_refused_by_name():
    with pytest.raises(FileNotFoundError, match="finecap\\.no_such"):
        code_version(["finecap.no_such"])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(versions, "package_folder", lambda: tmp_path)
    return tmp_path


def version_of(package: Path, source: str) -> str:
    (package / "stage.py").write_text(source)
    versions._syntax.cache_clear()
    versions._imports.cache_clear()
    return code_version(["finecap.stage"])


def test_code_version_ignores_comments_docstrings_and_layout(package: Path):
    before = version_of(package, "def f(x):\n    return x + 1\n")
    after = version_of(
        package, '"""Doc."""\n\ndef f(x):\n    """Adds."""\n    # why\n    return (x+1)\n'
    )
    assert before == after


def test_code_version_sees_a_changed_constant(package: Path):
    assert version_of(package, "X = 1\n") != version_of(package, "X = 2\n")


def test_code_version_sees_a_change_in_an_imported_module(package: Path):
    (package / "other.py").write_text("Y = 1\n")
    before = version_of(package, "from finecap.other import Y\n")
    (package / "other.py").write_text("Y = 2\n")
    assert before != version_of(package, "from finecap.other import Y\n")


@pytest.mark.parametrize(
    "statement",
    [
        "import finecap.other",
        "from finecap.other import Y",
        "from finecap import (\n    other,\n)",
        "def f():\n    if True:\n        from finecap import other",
    ],
)
def test_imports_are_found_however_written(package: Path, statement: str):
    (package / "other.py").write_text("Y = 1\n")
    version_of(package, f"{statement}\n")
    assert "finecap.other" in closure(["finecap.stage"])


def test_code_version_sees_a_change_in_a_data_file(tmp_path: Path):
    words = tmp_path / "words.txt"
    words.write_text("red")
    before = code_version([], [words])
    words.write_text("blue")
    assert before != code_version([], [words])


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a version of a distribution that brings a reward term on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(version: str, distribution: str = "manners", term: str = "politeness") -> None:
        for old in tmp_path.glob(f"{distribution}-*.dist-info"):
            shutil.rmtree(old)
        info = tmp_path / f"{distribution}-{version}.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(about)
        entry = f"[{versions.REWARDS}]\n{term} = {distribution}:Term\n"
        (info / "entry_points.txt").write_text(entry)

    return put


POLITE = {"weights": {"clip_s": 1.0, "politeness": 0.5}}


def test_project_and_library_mean_the_same_entry_points():
    from finecap.rewards.registry import GROUP

    assert versions.REWARDS == GROUP


def test_another_release_of_a_plug_in_is_another_data_version(install):
    without = data_version({"a": "1"}, POLITE, "code")
    install("1.0")
    first = data_version({"a": "1"}, POLITE, "code")
    assert plug_ins(POLITE) == {"package manners": "1.0"}
    assert first == data_version({"a": "1", "package manners": "1.0"}, POLITE, "code")
    install("1.1")
    assert len({without, first, data_version({"a": "1"}, POLITE, "code")}) == 3


def test_a_plug_in_that_no_weight_names_changes_nothing(install):
    settings = [{"weights": {"clip_s": 1.0}}, {"lr": 0.1}]
    before = [data_version({}, config, "code") for config in settings]
    install("1.0")
    install("1.0", "courtesy", "courtesy")
    assert [data_version({}, config, "code") for config in settings] == before
    assert plug_ins(POLITE) == {"package manners": "1.0"}


def test_finecaps_own_terms_count_by_their_code_alone(install):
    install("9.9", versions.PACKAGE)
    assert plug_ins(POLITE) == {}


def test_code_version_sees_another_release_of_a_package():
    releases = [{}, {"package manners": "1.0"}, {"package manners": "1.1"}]
    assert len({code_version([], packages=release) for release in releases}) == 3


def test_an_asset_that_weighs_a_plug_in_is_out_of_date_after_its_upgrade(install):
    """Dagster shows as unsynced what was made by another code version."""
    from dagster_project.assets.captioner import scst
    from finecap.config import load_profile

    smoke = load_profile("smoke")
    polite = smoke.scst["clip_s"].model_copy(update=POLITE)
    profile = smoke.model_copy(update={"scst": {**smoke.scst, "clip_s": polite}})

    def code_versions() -> list[str]:
        made = (scst(profile, reward) for reward in ("clip_s", "cider"))
        return [version for asset in made for version in asset.code_versions_by_key.values()]

    install("1.0")
    first = code_versions()
    assert code_versions() == first
    install("1.1")
    changed = [before != after for before, after in zip(first, code_versions(), strict=True)]
    assert changed == [True, False]


def test_folder_md5_is_what_dvc_computes(tmp_path: Path):
    from dvc.repo import Repo

    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for name, text in {
        "b.txt": "two",
        "images/ü 1.png": "one",
        "images.txt": "",
        "a/z": "x",
    }.items():
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text(text)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        (stage,) = repo.add([str(data)])
    out = stage.outs[0]
    assert folder_md5(data) == (out.hash_info.value, out.meta.size, out.meta.nfiles)
