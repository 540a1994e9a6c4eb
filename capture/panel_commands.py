"""The verb `panel`: the operator's page, beside a running capture."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from ..manifests.console import dataset_option, note

PORT = 8770
LEAVE_S = 5.0  # for a page to say goodbye to those who look at it


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen at another address. Needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"[default: {PORT}, or a free one where that is taken]")
@click.option(
    "--token",
    envvar="BUSCOMP_PANEL_TOKEN",
    show_envvar=True,
    help="With --host: a secret of 16 characters or more that lets in, as often as it is typed.",
)
@click.option("--child", is_flag=True, hidden=True, help="End with standard input: `capture --panel` starts it so.")
@dataset_option
def panel(host: str, port: int | None, token: str | None, child: bool, dataset_path: Path) -> None:
    """One page for the person at the rack: what to turn, what the audio says, meters, takes, alarms.

    Prints a link that lets one browser in, once. It reads the dataset and leaves requests there, as `buscomp pause`
    does; whether it runs makes no difference to the capture. `buscomp capture --panel` starts it too.

    Example: buscomp panel
    """
    import asyncio
    import socket
    import threading

    from ..manifests.dataset import Dataset
    from ..manifests.errors import UsageError
    from .panel_door import SHORTEST_TOKEN, Door, is_loopback, names_of
    from .panel_server import Page, listening_socket, serve

    dataset = Dataset(dataset_path)
    if not dataset.root.is_dir():
        raise UsageError(f"{dataset_path} is no folder")
    if not is_loopback(host):
        if token is None:
            raise UsageError(
                "another address than this computer's own needs a token", got=host,
                mend="set BUSCOMP_PANEL_TOKEN to 16 characters or more; or forward the port with ssh -L",
            )  # fmt: skip
        if len(token) < SHORTEST_TOKEN:
            raise UsageError(
                "the token is too short", got=f"{len(token)} characters", allowed=f"{SHORTEST_TOKEN} or more"
            )
    listener = listening_socket(host, PORT if port is None else port, or_any=port is None)
    port = listener.getsockname()[1]
    door = Door(None if is_loopback(host) else token)
    page = Page(dataset, door, names_of(host, socket.gethostname()), port)
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(
        host, f"[{host}]" if ":" in host else host
    )
    note(f"The operator's page, for one browser: http://{shown}:{port}/#key={door.new_key(float('inf'))}")
    if not is_loopback(host):
        note("It is not encrypted: whoever listens in this network sees what you see, and the token.")

    async def stdin_ends() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            while os.read(0, 1024):
                pass
            loop.call_soon_threadsafe(over.set)

        threading.Thread(target=wait, name="standard input", daemon=True).start()
        await over.wait()

    asyncio.run(serve(page, listener, stdin_ends if child else None))


@contextmanager
def page_beside(dataset_root: Path) -> Iterator[None]:
    """The page of `dataset_root` in a process of its own, as long as the block lasts. Once the block has begun the page
    cannot fail it. `ModuleNotFoundError` before that, where something is not installed."""
    for name in ("starlette", "uvicorn", "jinja2"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"no module {name}", name=name)
    line = [sys.executable, "-m", "buscomp", "panel", "--child", "--dataset", str(dataset_root)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True) as process:
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
