"""From a request that sends an image to the image: a form's field, or the body as it is.

What kind of image it is its content says; its name and its declared type are not looked at. How it
is decoded is `decoding`'s, how much may be sent `limits`'.
"""

from dataclasses import dataclass
from itertools import count

from anyio import to_thread
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header
from starlette.requests import Request

from finecap.server.limits import body_of
from finecap.server.refusals import Refused

IMAGE, TOKEN = "image", "token"
_FORM_BYTES = 100_000
"""What a form may have besides the image."""
_MAX_PARTS = 8


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request sent."""

    content: bytes
    token: str = ""


async def upload_of(request: Request, most: int) -> Upload:
    """The image of a request, `most` bytes at most.

    Raises:
        Refused: 400, no image; 413, too large.
    """
    kind = request.headers.get("content-type", "")
    is_form = kind.partition(";")[0].strip().lower() == "multipart/form-data"
    room = most + (_FORM_BYTES if is_form else 0)
    body = await body_of(request.stream(), request.headers.get("content-length"), room)
    upload = await to_thread.run_sync(_of_form, body, kind) if is_form else Upload(body)
    if not upload.content:
        raise Refused(400, "no image was sent", "Choose a file, or send its bytes as the body")
    if len(upload.content) > most:
        raise Refused(413, f"the image is larger than {most / 1e6:g} MB", "Send a smaller one")
    return upload


def _of_form(body: bytes, kind: str) -> Upload:
    """The fields of a form, kept in memory: nothing that is sent becomes a file.

    Raises:
        Refused: 400, it is no form.
    """
    _, options = parse_options_header(kind)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refused(400, "the form has no boundary", "Send it as a browser does")
    found: dict[str, bytes] = {}
    parts = count(1)

    def keep(part: Field | File) -> None:
        if next(parts) > _MAX_PARTS:
            raise FormParserError("too many fields")
        name = (part.field_name or b"").decode("latin-1")
        if isinstance(part, File):
            part.file_object.seek(0)
            found[name] = part.file_object.read()
        else:
            found[name] = part.value or b""

    # In memory up to the whole body, whose size was checked: it writes no temporary file.
    memory = {"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_BODY_SIZE": len(body) + 1}
    parser = FormParser("multipart/form-data", keep, keep, boundary=boundary, config=memory)  # pyright: ignore[reportArgumentType]
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, "the form cannot be read", "Send it as a browser does") from error
    return Upload(found.get(IMAGE, b""), found.get(TOKEN, b"").decode("utf-8", "replace"))
