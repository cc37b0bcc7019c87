"""Places that fsspec knows, such as s3://bucket/runs: opening them, and what goes wrong there in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from analysis.parts import PATTERN, Part, decode, in_order, joined, span
from analysis.records import LedgerError
from analysis.wording import plain

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs", "az": "abfs"}
_LOOKS = 5
_SECRET = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)|(?<=[?&])[^\s#]*")


def redacted(text: str) -> str:
    """Without user and password, and without what follows a question mark, where signatures are, in any URL."""
    return _SECRET.sub("***", text)


def checked(place: str) -> str:
    """The place, if it holds no secret. Raises LedgerError: what is named in ledgers and logs had better hold none."""
    if redacted(place) != place:
        raise LedgerError(
            f"{redacted(place)}: got a URL with credentials in it, expected one without: they are taken from the "
            "environment and from the files of the cloud's own tools"
        )
    return place.rstrip("/")


def open_store(place: str) -> tuple[AbstractFileSystem, str]:
    """The store, and the path in it. Raises LedgerError if a package is missing or nobody knows the protocol."""
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(checked(place), use_listings_cache=False)
    except (ImportError, ValueError) as error:  # it says which package is missing, or that the protocol is unknown
        extra = _EXTRAS.get(place.partition("://")[0])
        hint = f"; pip install 'assay[{extra}]'" if extra and isinstance(error, ImportError) else ""
        raise LedgerError(f"{place}: {redacted(plain(error))}{hint}") from None
    store.invalidate_cache()  # or a run that goes on would stay as it was at the first look
    return store, path


@contextmanager
def plain_errors(place: str, doing: str = "cannot be read") -> Iterator[None]:
    """Whatever a store raises, as one line; each has errors of its own for credentials and connections."""
    try:
        yield
    except LedgerError:
        raise
    except FileNotFoundError as error:
        raise LedgerError(f"{place}: {doing}: not found: {redacted(str(error))}") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise LedgerError(f"{place}: {doing}: {redacted(plain(error)) or type(error).__name__}") from None


def read_parts(store: AbstractFileSystem, folder: str) -> tuple[Part, int]:
    """All parts of the ledger of a run as one, and the number of the last; 0 if there are none."""
    for _ in range(_LOOKS):
        names = in_order(map(str, store.glob(f"{folder}/{PATTERN}")))
        with suppress(FileNotFoundError):  # many have become one in the meantime
            parts = [decode(_bytes(store.cat_file(name)), str(store.unstrip_protocol(name))) for name in names]
            return joined(parts), span(names[-1])[1] if names else 0
    raise LedgerError(f"{store.unstrip_protocol(folder)}: its parts go away while they are read; try again")


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()
