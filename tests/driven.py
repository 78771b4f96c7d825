"""A real browser that a test drives: it types, clicks, sends files, and tells what a page did.

Speaks the DevTools protocol over two pipes, so nothing listens on any port.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.browser import find_browser

_PATIENCE_S = 30
_EVENTS = ("Network", "Runtime", "Log", "Page", "DOM")


class RefusedError(RuntimeError):
    """The browser did not carry out a command."""


class Page:
    """One tab; `asked` and `complaints` collect addresses loaded and lines of the console."""

    def __init__(self, send: Callable[[bytes], None], receive: Callable[[], bytes]) -> None:
        self._send = send
        self._receive = receive
        self._count = 0
        self._session = ""
        self._loaded = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in _EVENTS:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        self._send(json.dumps(command).encode() + b"\0")
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self._count:
                if "error" in message:
                    raise RefusedError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._note(message)

    def open(self, address: str) -> None:
        """Go there and wait until it is loaded."""
        before = self._loaded
        self.call("Page.navigate", url=address)
        self.wait(lambda: self._loaded > before)

    def value(self, script: str) -> Any:
        """What an expression is worth in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RefusedError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, is_so: Callable[[], object]) -> None:
        """Until it is so; a page that is just being left answers nothing, which is no failure."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(RefusedError):
                if is_so():
                    return
                self.value("0")  # lets events in
            time.sleep(0.02)
        raise AssertionError(self.value("document.body && document.body.innerText"))

    def wait_for_text(self, text: str) -> None:
        """Until the page says it."""
        self.wait(lambda: text in self.value("document.body.innerText"))

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        for character in text:
            self.call("Input.dispatchKeyEvent", type="char", text=character)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key such as Enter (13) or Tab (9)."""
        for kind in ("keyDown", "keyUp"):
            keys = {"key": key, "windowsVirtualKeyCode": code}
            keys |= {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, **keys)

    def choose_file(self, selector: str, file: Path) -> None:
        """Put a file into a file field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded += 1
            case "Network.requestWillBeSent":
                self.asked.append(parameters["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters)[:500])
            case "Log.entryAdded":
                self.complaints.append(parameters["entry"]["text"])
            case _:
                pass


@contextmanager
def driven() -> Generator[Page]:
    """A page in a browser of its own."""
    program = find_browser().program
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def pipes() -> None:
        # The browser reads commands from descriptor 3 and answers on 4; the copies lie above both.
        read, write = os.dup(theirs_in), os.dup(theirs_out)
        high = [os.dup2(read, 60), os.dup2(write, 61)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        browser = subprocess.Popen(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--remote-debugging-pipe",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
                f"--user-data-dir={own}", "--window-size=1280,900",
            ],
            preexec_fn=pipes,  # noqa: PLW1509 - it only renumbers descriptors
                close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        waiting = bytearray()

        def receive() -> bytes:
            while b"\0" not in waiting:
                part = os.read(ours_in, 65_536)
                assert part, "the browser ended"
                waiting.extend(part)
            message, _, rest = bytes(waiting).partition(b"\0")
            waiting[:] = rest
            return message

        def send(message: bytes) -> None:
            while message:
                message = message[os.write(ours_out, message) :]

        try:
            yield Page(send, receive)
        finally:
            browser.kill()
            browser.wait()
            os.close(ours_in)
            os.close(ours_out)
