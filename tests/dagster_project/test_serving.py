"""Registered models answered for over HTTP by `mlflow models serve`, and by callers in Python."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mlflow
from dagster_project.home import Home
from dagster_project.registration import Registered, register
from dagster_project.registry import CHAMPION
from finecap.models.captions import Beams
from finecap.models.clip import load_encoder
from finecap.models.export import CaptioningModel, export_pair, load_pair
from tests.dagster_project.champions import DATA, PROFILE, Champions
from tests.dagster_project.conftest import ROOT
from tests.dagster_project.served import Server, serving
from tests.finecap.conftest import tiny

pytestmark = pytest.mark.slow
__all__ = ["tiny"]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, tiny: SimpleNamespace
) -> Iterator[SimpleNamespace]:
    """A champion and an encoder, registered as stages register theirs; a folder of images."""
    folder = tmp_path_factory.mktemp("served home")
    home = Home(ROOT, folder)
    home.mlflow.mkdir()
    (home.mlflow / "mlflow.db").write_bytes(empty_store.read_bytes())
    with dg.DagsterInstance.ephemeral() as instance:
        made = Champions(home, instance, tiny)
        made.registry.point(CHAMPION, made.train("clip_s", 0.6))
        encoder = made.store.get("base_clip", DATA)
        registered = Registered("finecap-clip", "base_clip")
        register(made.tracker, made.store, encoder, registered, PROFILE, made.home, None)
        images = tmp_path_factory.mktemp("images")
        paths = [tiny.folder / r.image for r in tiny.records if r.split == "val"][:12]
        yield SimpleNamespace(
            uri=made.tracker.uri, tracker=made.tracker, images=images, paths=paths, tiny=tiny,
            log=folder / "server.log",
            captioner=next((made.store.root / "scst" / "clip_s").iterdir()),
        )  # fmt: skip


@pytest.fixture(scope="module")
def expected(world: SimpleNamespace) -> list[str]:
    """The library's captions of the images."""
    return library_model(world).caption_images(world.paths)


def library_model(world: SimpleNamespace) -> CaptioningModel:
    """What was registered, without MLflow."""
    folder = world.tiny.new()
    export_pair(world.captioner, world.tiny.encoder, folder)
    return load_pair(folder)


@pytest.fixture(scope="module")
def captioner(world: SimpleNamespace) -> Iterator[Server]:
    """The champion's server, which may read the folder `images`."""
    (world.images / "a.png").write_bytes(world.paths[0].read_bytes())
    (world.images / "link.png").symlink_to(world.paths[0])
    model = "models:/finecap-captioner@champion"
    allowed = {"FINECAP_IMAGE_FOLDER": str(world.images)}
    with serving(model, world.uri, world.log, **allowed) as server:
        yield server


def text_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def url_of(path: Path) -> str:
    return f"data:image/png;base64,{text_of(path)}"


def test_images_in_every_form_get_the_librarys_captions(
    captioner: Server, world: SimpleNamespace, expected: list[str]
):
    first, second = world.paths[:2]
    assert len(set(expected)) > 4
    items = [url_of(first), text_of(second), "a.png", {"image": url_of(second)}]
    assert captioner.predictions(*items) == [expected[n] for n in (0, 1, 0, 1)]
    columns = {"inputs": {"image": [url_of(first), text_of(second)]}}
    assert captioner.ask(columns) == (200, {"predictions": expected[:2]})
    table = pd.DataFrame({"image": ["a.png", url_of(second)]})
    csv = table.to_csv(index=False).encode()
    assert captioner.ask(csv, "text/csv") == (200, {"predictions": expected[:2]})
    parquet = pd.DataFrame({"image": [p.read_bytes() for p in world.paths]}).to_parquet()
    kind = "application/vnd.apache.parquet"
    assert captioner.ask(parquet, kind) == (200, {"predictions": expected})


def test_many_images_at_once_are_answered_in_order(
    captioner: Server, world: SimpleNamespace, expected: list[str]
):
    items = [url_of(path) for path in world.paths] * 12
    assert captioner.predictions(*items) == expected * 12


def test_requests_at_once_do_not_mix(
    captioner: Server, world: SimpleNamespace, expected: list[str]
):
    urls = [url_of(path) for path in world.paths]

    def ask(shift: int) -> bool:
        order = np.roll(np.arange(len(urls)), shift)
        said = captioner.predictions(*(urls[n] for n in order), beams=1 + shift % 2)
        greedy = [expected[n] for n in order]
        return said == greedy if shift % 2 == 0 else len(said) == len(greedy)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(16)))


def test_settings_change_captions_and_are_checked(
    captioner: Server, world: SimpleNamespace, expected: list[str]
):
    urls = [url_of(path) for path in world.paths]
    short = captioner.predictions(*urls, max_tokens=3)
    assert max(len(str(said).split()) for said in short) == 3
    model = library_model(world)
    searched = model.caption_images(world.paths, how=Beams(4))
    assert captioner.predictions(*urls, beams=4) == searched != expected
    for params, said in (
        ({"beams": 0}, "beams is 0, expected a whole number from 1 to 32"),
        ({"max_tokens": 10_000}, "max_tokens is 10000, expected a whole number from 1 to"),
        ({"beams": "many"}, "Invalid parameters found"),
    ):
        assert said in captioner.refusal({"inputs": urls[:1], "params": params})


def picture(width: int, height: int) -> str:
    encoded = io.BytesIO()
    Image.new("L", (width, height)).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (["@@@@"], "image 0: '@@@@' is not base64"),
        ([base64.b64encode(b"hello").decode()], "image 0: 5 bytes are no image: it is no"),
        (["data:image/png,abc"], "expected data:image/png;base64,..."),
        (["data:image/png;base64,????"], "image 0: '????' is not base64"),
        ([""], "image 0: is empty"),
        ([], "the request is empty, expected at least one image"),
        (["a.png", 7], "image 1: is int, expected text"),
        ([None], "image 0: is NoneType"),
        (["a.png", {"picture": "a.png"}], "row 1 has no image: came picture"),
        (["gone.png"], "'gone.png' is not base64 (Only base64 data is allowed); as a path"),
        (["/etc/hostname"], "path '/etc/hostname' lies outside the folder that is open"),
        (["../images/../../etc/hostname"], "lies outside the folder that is open to paths"),
        (["link.png"], "path 'link.png' lies outside the folder that is open to paths"),
        (["."], "as a path it cannot be read: it is no file"),
        ([picture(9000, 8000)], "image 0: is too large: 9000 x 8000 pixels, expected 64 million"),
    ],
)
def test_wrong_image_is_refused_with_its_place_and_reason(
    captioner: Server, world: SimpleNamespace, items: list[object], said: str
):
    refusal = captioner.refusal({"inputs": items})
    assert said in refusal
    assert str(world.images) not in refusal


def test_broken_image_among_sound_ones_is_named_and_not_repeated(
    captioner: Server, world: SimpleNamespace
):
    cut = base64.b64encode(world.paths[0].read_bytes()[:-300]).decode()
    refusal = captioner.refusal({"inputs": ["a.png", f"data:image/png;base64,{cut}"]})
    assert refusal.startswith("image 1: image of ")
    assert "bytes does not decode: " in refusal
    assert cut[:40] not in refusal


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "valid JSON"),
        (b'["a.png"]', "Received a list"),
        ({"images": ["a.png"]}, "'inputs' key"),
        ({"dataframe_split": {"columns": ["image"], "data": [["a.png"]]}}, "'inputs' key"),
    ],
)
def test_wrong_request_is_refused(captioner: Server, content: object, said: str):
    assert said in captioner.refusal(content)


def test_server_still_answers_after_all_that(captioner: Server, expected: list[str]):
    assert captioner.predictions("a.png") == expected[:1]


@pytest.fixture(scope="module")
def encoder(world: SimpleNamespace) -> Iterator[Server]:
    """The encoder's server, which may read no folder."""
    with serving("models:/finecap-clip/1", world.uri, world.log.with_name("encoder.log")) as server:
        yield server


def test_encoder_gives_unit_vectors_of_texts_and_images(encoder: Server, world: SimpleNamespace):
    library = load_encoder(world.tiny.encoder)
    texts, path = ["a red boat", "a dog on the grass"], world.paths[0]
    found = np.array(
        encoder.predictions(texts[0], {"image": url_of(path)}, {"text": texts[1], "image": None})
    )
    own = library.encode_texts(texts).numpy()
    seen = library.encode_images([path]).numpy()
    np.testing.assert_allclose(found, np.stack([own[0], seen[0], own[1]]), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"text": "a", "image": "b"}], "row 0 has image and text, expected image or text"),
        ([{"caption": "a"}], "row 0 has no image or text: came caption"),
        (["a", {"text": 3}], "text 1: is int, expected text"),
        (["a", {"image": "a.png"}], "no folder is open to paths"),
        (["a" * 10_001], "text 0: has 10001 characters, at most 10000"),
    ],
)
def test_encoder_refuses_what_is_neither(encoder: Server, items: list[object], said: str):
    assert said in encoder.refusal({"inputs": items})


def test_version_shows_what_to_send(world: SimpleNamespace, captioner: Server):
    with world.tracker.fluent():
        info = mlflow.models.get_model_info("models:/finecap-captioner@champion")
        folder = mlflow.artifacts.download_artifacts("models:/finecap-captioner@champion")
    assert info.signature is not None
    assert info.signature.inputs.to_dict() == [
        {"name": "image", "type": "string", "required": True}
    ]
    params = {p["name"]: p["default"] for p in info.signature.params.to_dict()}
    assert params == {"beams": 1, "max_tokens": None}
    example = json.loads((Path(folder) / "serving_input_example.json").read_text())
    assert example["inputs"][0]["image"].startswith("data:image/png;base64,")
    status, _ = captioner.ask(example)
    assert status == 200


def test_callers_in_python_are_answered_whatever_form_images_have(
    world: SimpleNamespace, expected: list[str]
):
    with world.tracker.fluent():
        model = mlflow.pyfunc.load_model("models:/finecap-captioner@champion")
    path = world.paths[0]
    image = Image.open(path).convert("RGB")
    array = np.asarray(image)
    forms = [path, str(path), path.read_bytes(), image, array]
    for asked in (*forms, np.stack([array]), {"image": [array]}, {"image": array}):
        assert model.predict(asked) == expected[:1]
    assert model.predict(forms) == expected[:1] * 5
    assert model.predict(pd.DataFrame({"image": [str(p) for p in world.paths]})) == expected
    with pytest.raises(mlflow.MlflowException, match=r"image 0: image none\.png does not exist"):
        model.predict(["none.png"])
    with world.tracker.fluent():
        encoder = mlflow.pyfunc.load_model("models:/finecap-clip/1")
    assert encoder.predict(["a boat", "a dog"]).shape == (2, 16)
    np.testing.assert_allclose(encoder.predict(path), encoder.predict(array), atol=1e-6)
