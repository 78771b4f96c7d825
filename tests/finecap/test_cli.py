import json
import resource
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

from finecap import cli
from finecap.config import load_profile
from finecap.data.transforms import load_image
from finecap.search.files import export_digest
from finecap.search.index import Manifest, ModelReference, Row
from finecap.search.lance import LanceIndex


@pytest.fixture
def finecap(monkeypatch, capsys, tmp_path):
    """finecap(*arguments) runs the command in `tmp_path`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINECAP_HOME", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["finecap", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def live_home(tmp_path):
    """`./var` with a live build of two captions; its models' export is one file."""
    home = tmp_path / "var"
    (home / "models").mkdir(parents=True)
    (home / "models" / "config.json").write_text("{}")
    digest = export_digest(home / "models")
    model = ModelReference(name="m", version="1", path="models", digest=digest)
    index = LanceIndex(home / "index")
    index.create(
        Manifest(
            build_id="one",
            captioner=model,
            encoder=model,
            data_md5="d",
            dims=2,
            rows=2,
            created_at="2026",
        )
    )
    captions = ("a [red] boat near a house", "a blue tree")
    vectors = np.eye(2, dtype=np.float32)
    index.upsert(
        "one",
        [Row(f"{i}.png", f"data/{i}.png", c, vectors[i]) for i, c in enumerate(captions)],
    )
    index.finish("one", lambda _: 1.0)
    index.promote("one", expect=None)
    return home


def _cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_answers_within_a_second_and_imports_nothing_heavy():
    code = (
        "import sys, finecap.cli as c; sys.argv = ['finecap', '--help']\n"
        "try: c.main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'lancedb', 'pandas', 'faiss') if m in sys.modules])"
    )
    before = _cpu_s_of_children()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert _cpu_s_of_children() - before < 1.5  # 0.3 s on an idle machine
    assert all(name in ran.stdout for name in ("search", "caption", "draw", "import", "profile"))
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("live_home")
def test_search_prints_one_json_object(finecap):
    code, out, _ = finecap("search", "red boats", "--json", "--mode", "words")
    hits = json.loads(out)["hits"]
    assert code == 0
    assert len(out.splitlines()) == 1
    assert (hits[0]["image"], hits[0]["caption"]) == ("0.png", "a [red] boat near a house")
    assert hits[0]["score"] > 0
    assert hits[0]["matched_words"] == ["red", "boat"]


@pytest.mark.usefixtures("live_home")
def test_search_prints_captions_as_they_are_with_scores_and_paths(finecap):
    code, out, _ = finecap("search", "red boat", "--mode", "words", "--limit", "1")
    assert code == 0
    assert "a [red] boat near a house" in out
    assert "data/0.png" in out


@pytest.mark.usefixtures("live_home")
def test_nothing_found_is_no_error(finecap):
    code, out, err = finecap("search", "zebra", "--mode", "words")
    assert (code, out, err) == (0, "", "finecap: nothing found\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("search", "boat"), 1, "no index is live in var: run the pipeline"),
        (("profile", "show", "nope"), 2, "unknown profile 'nope', expected one of"),
        (("draw", "world", "--profile", "nope"), 2, "unknown profile"),
        (("caption", "none.png"), 2, "no such image: none.png"),
        (("import", "flickr8k", "--source", "no", "--into", "x"), 2, "no does not exist, expected"),
    ],
)
def test_an_error_is_one_line_without_traceback(finecap, arguments, code, message):
    got, out, err = finecap(*arguments)
    assert (got, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("live_home")
def test_a_query_that_makes_no_sense_exits_2(finecap):
    assert finecap("search", "shape:round")[0] == 2


def test_an_error_nobody_foresaw_keeps_its_traceback(monkeypatch):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command("broken")
    def broken():
        raise KeyError("bug")

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["finecap", "broken"])
    with pytest.raises(KeyError, match="bug"):
        cli.main()


@pytest.mark.usefixtures("live_home")
def test_caption_uses_the_captioner_that_the_manifest_names(finecap, monkeypatch):
    loaded = []

    def load_pair(folder):
        loaded.append(folder)
        return SimpleNamespace(
            caption_images=lambda images, **_: [f"seen {p.name}" for p in images]
        )

    monkeypatch.setattr("finecap.models.export.load_pair", load_pair)
    Image.new("RGB", (4, 4)).save("a.png")
    code, out, _ = finecap("caption", "a.png", "--json")
    assert code == 0
    assert json.loads(out) == {"captions": [{"image": "a.png", "caption": "seen a.png"}]}
    assert [folder.name for folder in loaded] == ["models"]
    assert finecap("caption", "a.png")[1] == "a.png\tseen a.png\n"


@pytest.mark.usefixtures("live_home")
def test_caption_reads_images_in_tars(finecap, monkeypatch):
    model = SimpleNamespace(
        caption_images=lambda images, **_: [str(load_image(path).size) for path in images]
    )
    monkeypatch.setattr("finecap.models.export.load_pair", lambda _: model)
    with tarfile.open("0.tar", "w") as tar:
        for side in (4, 5):
            Image.new("RGB", (side, side)).save(f"{side}.png")
            tar.add(f"{side}.png")
    assert finecap("caption", "0.tar/5.png")[1] == "0.tar/5.png\t(5, 5)\n"
    assert finecap("caption", "0.tar")[1] == "0.tar/4.png\t(4, 4)\n0.tar/5.png\t(5, 5)\n"
    code, _, err = finecap("caption", "0.tar/6.png", "none.png")
    assert code == 2
    assert "no such image: 0.tar has no 6.png, it has 4.png, 5.png; none.png" in err


@pytest.mark.usefixtures("live_home")
def test_caption_by_beams_or_by_samples(finecap, monkeypatch):
    model = SimpleNamespace(
        caption_images=lambda images, how: [f"{p.name} by {how.beams}" for p in images],
        draw_captions=lambda images, how: [
            [f"{p.name} {how.seed}", f"{how.top_p}"][: how.samples] for p in images
        ],
    )
    monkeypatch.setattr("finecap.models.export.load_pair", lambda _: model)
    Image.new("RGB", (4, 4)).save("a.png")
    assert finecap("caption", "a.png", "--beams", "3")[1] == "a.png\ta.png by 3\n"
    drawn = finecap("caption", "a.png", "--samples", "2", "--top-p", "0.5", "--seed", "7")[1]
    assert drawn == "a.png\ta.png 7\na.png\t0.5\n"
    code, _, err = finecap("caption", "a.png", "--beams", "3", "--samples", "2")
    assert code == 2
    assert "--beams 3 finds one caption, --samples 2 several: use one" in err


def test_profiles_are_listed_and_shown_whole(finecap):
    names = finecap("profile", "list")[1].split()
    assert {"scenes", "smoke"} <= set(names)
    shown = yaml.safe_load(finecap("profile", "show", "smoke")[1])
    assert shown == load_profile("smoke").model_dump(mode="json")
    lines = finecap("profile", "show", "smoke")[1].splitlines()
    assert "  epochs: 6  # smoke" in lines
    assert "  max_tokens: 24  # scenes" in lines
    assert "  min_captions: 1  # default" in lines


def test_plugins_join_as_groups_or_commands(monkeypatch):
    group, host = typer.Typer(), typer.Typer()
    entries = [
        SimpleNamespace(name="run", load=lambda: lambda: None),
        SimpleNamespace(name="data", load=lambda: group),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries if group else [])
    cli.add_plugins(host)
    assert [g.name for g in host.registered_groups] == ["data"]
    assert [c.name for c in host.registered_commands] == ["run"]
