"""Joins the Ray cluster that is there, or starts one on this machine.

Ray's own ports are open on every interface of the machine, so a cluster that starts here always asks for a token.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from cluster.errors import NotReady
from cluster.heads import watched
from trainables.ambient import kept_variables

_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default of coming versions; saves a warning
    "RAY_enable_worker_prestart": "0",  # Tune wants processes with settings of its own, and these would be in the way
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

_KNOCK_S = 5.0


class SessionError(NotReady):
    """A cluster that cannot be joined or started; one line."""


@contextlib.contextmanager
def session(address: str | None = None, num_cpus: int | None = None, *, dashboard: bool = False) -> Iterator[None]:
    """Have Ray up inside. Shuts down what it started, and nothing else.

    Joins the cluster at ``address`` (or RAY_ADDRESS, which is set inside a Ray job), otherwise starts one with
    ``num_cpus`` (all of this machine if None). Uses a cluster that this process has joined before as it is.

    Raises:
        SessionError: if there is no such cluster, or it does not accept the token.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    target = address or os.environ.get("RAY_ADDRESS")
    with kept_variables(*_QUIET, "RAY_AUTH_MODE"):
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        _join(_checked(target)) if target else _start(num_cpus, dashboard)
        try:
            with watched(ray.get_runtime_context().gcs_address):
                yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def beginning(address: str | None = None, *, dashboard: bool = False) -> Iterator[Callable[[], None]]:
    """``session`` in a thread, so that this one can get ready while Ray starts, which takes seconds.

    What it yields waits until Ray is up, and raises what ``session`` raises. The thread stays until the end: the kernel
    ends what Ray has started together with the thread that has started it.
    """
    up, over = Future[None](), threading.Event()
    # requests hides this itself, unless the other thread puts back the filters of before just then
    warnings.filterwarnings("ignore", message="SOCKS support in urllib3")

    def hold() -> None:
        try:
            with session(address, dashboard=dashboard):
                up.set_result(None)
                over.wait()
        except BaseException as error:
            if up.done():
                raise
            up.set_exception(error)

    thread = threading.Thread(target=hold, name="ray session")
    thread.start()

    def wait() -> None:
        up.result()
        _take_sigterm_back()

    try:
        yield wait
    finally:
        over.set()
        thread.join()


def _take_sigterm_back() -> None:
    """Ray puts a handler before ours, which prints the stack and aborts the process 3 s later, whatever it is doing."""
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _checked(address: str) -> str:
    if "://" in address:
        hint = f"submit the sweep instead: assay submit ... --address {address}"
        raise SessionError(f"address: got {address}, expected HOST:PORT of a Ray head or auto; {hint}")
    if address != "auto" and not re.fullmatch(r".+:\d+", address):
        raise SessionError(f"address: got {address}, expected HOST:PORT of a Ray head or auto")
    return address


def _join(address: str) -> None:
    found = _here() if address == "auto" else address
    if os.environ.get("RAY_USE_TLS", "0") == "0" and not _lets_in(found, token=""):
        if not _lets_in(found, _token()):
            where = f"the one in {token_file()} is another" if token_file() else "there is none here"
            raise SessionError(f"address: the Ray head at {found} wants its token, {where}")
        _use_token()
    _init(found, address=found)


def _here() -> str:
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address("auto")
    except ConnectionError:
        found = None
    if not found:
        raise SessionError("address: got auto, but no Ray cluster runs on this machine")
    return found


def _lets_in(address: str, token: str) -> bool:
    """Ask the head for its id, since ``ray.init`` takes minutes to see that nobody is there, or that it may not in.

    A process that uses a token in a cluster without one is taken for dead, so it matters which kind this is.
    """
    import grpc

    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", timeout=_KNOCK_S, metadata=(("authorization", f"Bearer {token}"),) if token else ())
        except grpc.RpcError as error:
            code = error.code()  # pyright: ignore[reportAttributeAccessIssue] - it is a Call, too
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise SessionError(f"address: no Ray head answers at {address}") from None
            return code != grpc.StatusCode.UNAUTHENTICATED
    return True


def _use_token() -> None:
    """Ray does this by itself for clusters that it starts, and reads the variable only once."""
    from ray._raylet import Config  # pyright: ignore[reportAttributeAccessIssue] - compiled

    os.environ["RAY_AUTH_MODE"] = "token"
    Config.initialize("")


def _start(num_cpus: int | None, dashboard: bool) -> None:
    if os.environ.get("RAY_AUTH_MODE", "token") == "token" and not token_file():
        make_token(_default_token_file())
    _init(
        "a local cluster",
        address="local",
        num_cpus=num_cpus,
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
    )


def _init(what: str, **options: Any) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    try:
        with _kept_handlers():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except AuthenticationError as error:
        raise SessionError(f"{what} does not accept the token: {_first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - Ray raises plain ones, too, such as when it has waited for itself in vain
        raise SessionError(f"cannot reach {what}: {_first_line(error)}") from None


@contextlib.contextmanager
def _kept_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and would end the run without a word to the trials."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


# --- tokens ----------------------------------------------------------------------------------------------------------


def token_file() -> str | None:
    """Where the token of this user is: a path, or the name of the variable that holds it; None if there is none."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or _default_token_file())
    if not path.is_file():
        return None
    path.chmod(0o600)  # Ray itself leaves it readable for everybody
    return str(path)


def _token() -> str:
    where = token_file()
    return os.environ.get("RAY_AUTH_TOKEN") or (Path(where).read_text().strip() if where else "")


def make_token(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))


def _default_token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"
