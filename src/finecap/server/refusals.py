"""Requests that are refused: one kind of error, with the status and words that the asker gets.

Every layer of the server raises `Refused`; how it looks, as JSON or as a page, is decided in one
place (`errors`). Messages tell what to do and nothing of this machine.
"""

from dataclasses import dataclass

from starlette.exceptions import HTTPException

from finecap.data.transforms import ImageError
from finecap.search.index import IndexRefused, IndexUnreachable, NoSuchBuild
from finecap.search.query import QueryError


@dataclass
class Refused(Exception):  # noqa: N818 - a refusal is the claim, not a failure of the server
    """A request that is not answered: status, reason, and what the asker can do."""

    status: int
    reason: str
    advice: str = ""
    retry_after_s: int | None = None
    words_still_work: bool = False  # a search by words alone would be answered

    def __str__(self) -> str:
        """Reason and advice in one line."""
        return f"{self.reason}. {self.advice}" if self.advice else self.reason


FORESEEN = (Refused, QueryError, ImageError, NoSuchBuild, IndexRefused, FileNotFoundError)
"""What `as_refused` knows."""

NOT_READY = "nothing can be searched yet"


def as_refused(error: Exception) -> Refused:
    """What the asker is told of an error that we foresaw."""
    match error:
        case Refused():
            return error
        case QueryError() | ImageError():
            return Refused(400, str(error))
        case NoSuchBuild():
            return Refused(
                503, NOT_READY, "Run the pipeline to its index (`make run`), then ask again", 30
            )
        case IndexUnreachable():
            return Refused(
                503, "the index cannot be reached", "Try again; the server's log says why", 10
            )
        case IndexRefused() | FileNotFoundError():
            return Refused(
                503,
                "the index and the models on this machine do not fit together",
                "Search by words alone still works; the server's log says what is missing",
                words_still_work=True,
            )
        case HTTPException():
            return Refused(error.status_code, error.detail)
        case _:
            raise error
