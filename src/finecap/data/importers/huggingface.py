"""A data set that Hugging Face's `datasets` saved to disk, read without that package.

`save_to_disk` writes `state.json` and Arrow streams (`data-00000-of-00001.arrow`); a `DatasetDict`
has `dataset_dict.json` and such a folder per split. An image is `{"bytes", "path"}`. A `split`
column, as some data sets have, goes before the folder's name. What stays out: the package's cache
of downloads, and Parquet as the hub keeps it (`table`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finecap.config import ImportConfig
from finecap.data.importers.entry import DatasetImportError, Source, split_named
from finecap.data.importers.photos import photos_of
from finecap.data.importers.table import open_tables
from finecap.data.importers.table_files import Row
from finecap.data.json_files import read_json

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_BATCH = 64  # rows


def open_huggingface(source: Path, config: ImportConfig) -> Source:
    """The data set that `save_to_disk` wrote to the folder `source`.

    Raises:
        FileNotFoundError: it is no such folder, or one of its files is missing.
        DatasetImportError: a broken file, a split of unknown name, or rows that were selected and
            not written.
    """
    photos = photos_of(config, source)
    return open_tables(_files(source), photos, config, _header, _rows)


def _files(source: Path) -> list[tuple[Path, str | None]]:
    """The Arrow files in order, each with its split."""
    if not (source / _SPLITS).is_file():
        return [(path, None) for path in _shards(source)]
    content = read_json(source / _SPLITS, DatasetImportError)
    names: Any = content.get("splits") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names:
        raise DatasetImportError(f'{source / _SPLITS}: expected {{"splits": ["train", ...]}}')
    files: list[tuple[Path, str | None]] = []
    for name in map(str, names):
        split = split_named(name)
        if split is None and len(names) > 1:
            raise DatasetImportError(
                f"{source}: split {name!r} is none of train, validation, test; save the data set "
                "with splits of these names"
            )
        files += [(path, split) for path in _shards(source / name)]
    return files


def _shards(folder: Path) -> list[Path]:
    """The Arrow files of one data set, as its state names them."""
    if not (folder / _STATE).is_file():
        raise FileNotFoundError(
            f"{folder / _STATE} does not exist, expected a folder that `save_to_disk` wrote"
        )
    state: Any = read_json(folder / _STATE, DatasetImportError)
    if state.get("_indices_data_files"):
        raise DatasetImportError(
            f"{folder}: its rows were selected or shuffled and not written in that order; call "
            "`flatten_indices()` before `save_to_disk`"
        )
    named = state.get("_data_files") or []
    paths = [folder / entry["filename"] for entry in named] or sorted(folder.glob("*.arrow"))
    if missing := [path for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{missing[0]} does not exist, though {folder / _STATE} names it")
    if not paths:
        raise FileNotFoundError(f"{folder} has no .arrow file")
    return paths


def _header(path: Path) -> list[str]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return list(_reader(path, file).schema.names)


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa

    line = 0
    with pa.memory_map(str(path)) as file:
        for batch in _reader(path, file):
            some = batch.select(list(wanted))
            for start in range(0, some.num_rows, _BATCH):
                for row in some.slice(start, _BATCH).to_pylist():
                    line += 1
                    yield line, row


def _reader(path: Path, file: Any) -> Any:
    """The file's record batches, one after another; pyarrow has no types."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(file)
    except pa.ArrowInvalid as error:
        raise DatasetImportError(f"{path}: {error}; is the copy whole?") from error
