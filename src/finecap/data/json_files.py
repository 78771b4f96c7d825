"""JSON that others wrote, read whole; what is wrong with a file is said by place.

What stays out: what the JSON means, and lines of JSON (`records`, `importers`).
"""

import json
from pathlib import Path


def read_json(path: Path, refused: type[ValueError]) -> object:
    """The JSON in `path`, which may begin with a byte order mark.

    Args:
        path: of a file.
        refused: what is raised where it is no JSON.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, expected a JSON file")
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise refused(f"{path}: byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise refused(
            f"{path} line {error.lineno} column {error.colno}: not JSON ({error.msg}); is the "
            "file whole?"
        ) from error
