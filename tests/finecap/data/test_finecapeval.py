"""FineCapEval's CSV: what is read of it, and what is refused with the line and a remedy."""

from pathlib import Path

import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES  # what `read_csv` takes for no value

from finecap.data.finecapeval import Annotation, FineCapEvalError, image_key, read_finecapeval

HEADER = "image,caption,background,object,relation\n"
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "finecapeval.csv"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "FineCapEval.csv"


def test_rows_of_an_image_stand_together_with_phrases_as_written(path: Path):
    path.write_text(
        f"{HEADER}"
        'a.jpg,"A ""big"" dog, running",park\\;grass,dog,dog on grass\n'
        "b.jpg,A cat,sofa,cat,cat on sofa\n"
        "\n"
        "a.jpg,A dog,the park,brown dog,running\n"
    )
    found = read_finecapeval(path)
    assert list(found) == ["a", "b"]
    assert [row.caption for row in found["a"]] == ['A "big" dog, running', "A dog"]
    assert found["a"][0].phrases == {
        "background": "park\\;grass", "object": "dog", "relation": "dog on grass",
    }  # fmt: skip


def test_a_byte_order_mark_more_columns_and_another_order_do_no_harm(path: Path):
    text = "relation,id,object,background,caption,image\non,1,dog,park,A dog,a.jpg\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    phrases = {"background": "park", "object": "dog", "relation": "on"}
    assert read_finecapeval(path) == {"a": [Annotation("A dog", phrases)]}


@pytest.mark.parametrize("cell", sorted(STR_NA_VALUES))
def test_a_cell_without_value_is_none_as_pandas_has_it(path: Path, cell: str):
    path.write_text(f"{HEADER}a.jpg,A dog,{cell},dog,on\nb.jpg,A dog, ,dog,on\n")
    assert pd.isna(pd.read_csv(path)["background"][0])
    (first,), (second,) = read_finecapeval(path).values()
    assert (first.phrases["background"], first.is_complete) == (None, False)
    assert (second.phrases["background"], second.is_complete) == (" ", True)


def test_the_golden_file_is_read_as_pandas_reads_it():
    table = pd.read_csv(GOLDEN)
    rows = [row for own in read_finecapeval(GOLDEN).values() for row in own]
    table["image"] = table["image"].map(image_key)
    expected = [row for _, own in table.groupby("image", sort=False) for row in own.itertuples()]
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        cells = {"caption": row.caption, **row.phrases}
        assert cells == {
            k: None if pd.isna(v) else v for k, v in other._asdict().items() if k in cells
        }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,caption,object,relation\n", "no column background; expected image, caption"),
        ("", "is empty, expected the columns image"),
        (HEADER, "has no rows below its header"),
        (f"{HEADER}a.jpg,A dog,park,dog\n", "line 2: 4 cells, expected 5"),
        (f"{HEADER}a.jpg,A dog, big,park,dog,on\n", "line 2: 6 cells, expected 5 .* quote a cell"),
        (f'{HEADER}a.jpg,"A dog,park,dog,on\n', "line 2: unexpected end of data"),
        (f'{HEADER}a.jpg,"A "big" dog",park,dog,on\n', "line 2: .* is written twice"),
        (f"{HEADER} ,A dog,park,dog,on\n", "line 2: `image` is empty"),
        (
            f"{HEADER}a.jpg,x,x,x,x\na.png,x,x,x,x\n",
            "line 3: image a.png cannot be told from a.jpg",
        ),
        ("image,caption,caption,background,object,relation\n", "column caption is there twice"),
    ],
)
def test_a_broken_file_is_refused_with_line_and_remedy(path: Path, content: str, message: str):
    path.write_text(content)
    with pytest.raises(FineCapEvalError, match=message):
        read_finecapeval(path)


def test_another_encoding_is_refused_by_its_byte(path: Path):
    path.write_bytes(f"{HEADER}a.jpg,A caf\u00e9,x,x,x\n".encode("latin-1"))
    with pytest.raises(FineCapEvalError, match="byte 53 is not UTF-8; save the file as UTF-8"):
        read_finecapeval(path)


def test_a_missing_file_is_named(path: Path):
    with pytest.raises(FileNotFoundError, match=r"FineCapEval.csv does not exist, expected"):
        read_finecapeval(path)
