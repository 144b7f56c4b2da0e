"""csmf-serve: check what would be served, then run the workers.

Decisions
- Every setting is a flag with the same text; flags are written into the environment, which worker
  processes inherit.
- The published pair and the weights file are opened once here before any worker starts: a mistake
  is one line and exit code 2, not a worker that is restarted for ever.
- What will be served is hashed while the rest of the service is imported. That is imported late in
  any case: prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is first imported.
- Workers are spawned, never forked: each maps the index file itself and shares its pages.
- Metrics are files that workers map and write to with every request. They lie in memory where there
  is a file system for that: whoever writes to a page of a disk's file may wait for the disk. Those
  of a service that was killed are removed by the next one: that memory is small.

    csmf-serve --releases releases/ --port 8000 --workers 2 --keys-file keys.json
"""

from __future__ import annotations

import argparse
import logging
import logging.config
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from bundle.errors import BundleError
from bundle.store import pair_folders, read_current
from bundle.writing import locked_directory, remove_abandoned
from service.settings import (
    Settings,
    SettingsError,
    describe_settings,
    read_settings,
    unknown_variables,
    variable,
)
from service.snapshots.memory import nothing_collected
from service.snapshots.receipts import hashed_meanwhile
from service.watch.logs import log_config

log = logging.getLogger(__name__)

BAD_INPUT = 2
MEMORY = "/dev/shm"  # noqa: S108  a folder of our own is made in it
METRICS = "csmf-serve-metrics-"
STARTUP_FAILURE = 3  # as uvicorn has it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    flags = vars(_parser().parse_args(argv))
    if flags.pop("list_settings"):
        print(settings_table())
        return 0
    os.environ.update({variable(name): value for name, value in flags.items() if value is not None})
    try:
        settings = read_settings()
    except SettingsError as error:
        return _refuse(str(error))
    logging.config.dictConfig(log_config(settings.log_level, settings.log_format))
    for name in unknown_variables(os.environ):
        log.warning("%s is no setting and is ignored; see csmf-serve --list-settings", name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once drained
    with _metrics_folder() as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        with nothing_collected():
            problem = _problem(settings)
        if problem:
            return _refuse(problem)
        _serve(settings)
    return 0


@contextmanager
def _metrics_folder() -> Iterator[Path]:
    """A folder for the files of metrics, locked while this process lives."""
    parent = Path(MEMORY if os.access(MEMORY, os.W_OK) else tempfile.gettempdir())
    remove_abandoned(parent, METRICS)
    folder, lock = locked_directory(parent, METRICS)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def settings_table() -> str:
    """Every setting: its variable, default and meaning."""
    rows = describe_settings()
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:{widths[0]}}  {default:{widths[1]}}  {doc}" for name, default, doc in rows
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csmf-serve",
        description="Serve the published bundle and index. Each flag can also be given as an "
        "environment variable.",
    )
    parser.add_argument("--list-settings", action="store_true", help="print all settings and exit")
    for (name, field), (_, default, _) in zip(
        Settings.model_fields.items(), describe_settings(), strict=True
    ):
        text = f"{field.description} [{variable(name)}, default {default or 'empty'}]"
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, metavar="VALUE", help=text.replace("%", "%%"))
    return parser


def _problem(settings: Settings) -> str | None:
    """Why the workers could not start, in one line."""
    try:
        with ExitStack() as held:
            with hashed_meanwhile(settings.state_dir, _folders(settings)):
                _check_settings(settings)
                held.enter_context(_listening(settings))
            from service.app import open_holder  # noqa: PLC0415  (late)

            holder = open_holder(settings)
            if settings.workers == 1:  # which is this process
                holder.hand_over()
    except Exception as error:
        if not isinstance(error, _mistakes()):
            raise
        return " ".join(str(error).split())
    return None


def _check_settings(settings: Settings) -> None:
    """Raises what is wrong with them, before anything large is read."""
    from service.access.ring import open_ring  # noqa: PLC0415  (late)
    from service.app import open_store, open_traces  # noqa: PLC0415  (late)

    open_ring(settings)
    _check_tls(settings)
    if traces := open_traces(settings):
        traces.close()
    open_store(settings).close()
    if settings.features_url.get_secret_value():
        from service.features.store import connections  # noqa: PLC0415  (late)

        connections(settings)
    if not settings.pin:
        read_current(settings.releases)  # SPEC rule C1


def _mistakes() -> tuple[type[Exception], ...]:
    """Faults of whoever starts the service, or of what is to be served; not of this program."""
    from service.access.keys import KeysError  # noqa: PLC0415  (late)
    from service.features.known import FeaturesUrlError  # noqa: PLC0415  (late)
    from service.snapshots.bounds import SizeError  # noqa: PLC0415  (late)
    from service.snapshots.golden import GoldenCheckError  # noqa: PLC0415  (late)
    from service.weights.store import StoreUnavailableError  # noqa: PLC0415  (late)

    unusable = (StoreUnavailableError, FeaturesUrlError, KeysError)
    return (BundleError, SizeError, GoldenCheckError, *unusable, RuntimeError, OSError)


def _folders(settings: Settings) -> tuple[Path, ...]:
    """Of what will be served, as far as can be told."""
    if settings.pin:
        return pair_folders(settings.releases, *settings.pin.split("/"))
    try:
        current = read_current(settings.releases)
    except (BundleError, OSError):
        return ()
    return pair_folders(settings.releases, current.run_id, current.build_id)


def _check_tls(settings: Settings) -> None:
    """An OSError that names the settings if they are no certificate and its key."""
    if not settings.tls_cert and not settings.tls_key:
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:  # without the password nobody is asked for one
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"CSMF_TLS_CERT, CSMF_TLS_KEY: expected a certificate and its key, not encrypted,"
            f" got {settings.tls_cert or 'nothing'}, {settings.tls_key or 'nothing'}: {reason}"
        ) from None


@contextmanager
def _listening(settings: Settings) -> Iterator[None]:
    """Hold the port while the rest is checked; an OSError that names it if it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        taken = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        reason = str(error.strerror or error).split(" (while")[0]  # Python adds the address again
        raise OSError(
            f"--port: cannot listen on {settings.host}:{settings.port}: {reason}"
        ) from None
    with taken:
        yield


def _serve(settings: Settings) -> None:
    from service.api.door import GatedProtocol  # noqa: PLC0415  (late)
    from service.load.workers import hear_of_deaths  # noqa: PLC0415  (late)

    config = uvicorn.Config(
        "service.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="service.load.accepting:AcceptingLoop",
        http=GatedProtocol,
        ws="none",
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who called, and how, is not asked
        log_config=log_config(settings.log_level, settings.log_format),
        log_level=settings.log_level,
        timeout_graceful_shutdown=settings.drain_s,
        timeout_worker_healthcheck=60,  # parsing a vocabulary may hold a worker for seconds
    )
    listening = [config.bind_socket()]
    if settings.workers > 1:
        hear_of_deaths()
        Multiprocess(config, listening).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(listening)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _refuse(problem: str) -> int:
    print(f"error: {problem}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
