"""An image is taken from a form or a body; what it is called does not matter."""

import asyncio

import pytest
from starlette.requests import Request

from finecap.server.refusals import Refused
from finecap.server.uploads import upload_of

FORM = "multipart/form-data; boundary=x"


def sent(body: bytes, kind: str, most: int = 1_000):
    """What `upload_of` takes of a request with that body."""

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return asyncio.run(upload_of(request, most))


def form(**fields: bytes) -> bytes:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="'
        + name.encode()
        + b'"; filename="../../e.svg"'
        b"\r\nContent-Type: text/html\r\n\r\n" + value + b"\r\n"
        for name, value in fields.items()
    ]
    return b"".join(parts) + b"--x--\r\n"


def test_a_body_is_the_image():
    assert sent(b"\x89PNG", "text/html").content == b"\x89PNG"


def test_a_form_holds_image_and_token():
    upload = sent(form(image=b"\x89PNG\r\n", token=b"secret"), FORM)
    assert (upload.content, upload.token) == (b"\x89PNG\r\n", "secret")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "image/png", 400),
        (form(other=b"x"), FORM, 400),
        (form(image=b""), FORM, 400),
        (b"no form at all", FORM, 400),
        (form(image=b"x")[:30], FORM, 400),
        (b"x", "multipart/form-data", 400),
        (form(**{f"n{i}": b"" for i in range(20)}), FORM, 400),
        (b"x" * 1_001, "image/png", 413),
        (form(image=b"x" * 1_001), FORM, 413),
        (form(image=b"x" * 200_000), FORM, 413),
    ],
)
def test_what_holds_no_image_or_too_much_is_refused(body: bytes, kind: str, status: int):
    with pytest.raises(Refused) as refused:
        sent(body, kind)
    assert refused.value.status == status
