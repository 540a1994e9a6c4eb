"""One conversation with a MIDI port, in a process of its own: find it, make sure that it is connected, send, listen.

    python -m buscomp.capture.midi_port < order.json > answer.json

A process of its own, because a dead JACK server makes calls hang for ever and stays in the memory of whoever has
spoken to it; the panel kills this one and starts another. A message to a port that is not connected vanishes without
any error, hence the checks, before sending and after it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from ..manifests.errors import BuscompError, DeviceError, UsageError

if TYPE_CHECKING:
    import jack

JACK_API = "UNIX_JACK"
SEE_PORTS = "look at the cable, and at the port's name in the profile"


def converse(order: dict[str, Any]) -> dict[str, Any]:
    """Send `order["messages"]` (lists of bytes) to the one port whose name contains `order["port"]`, wait `wait_s`,
    and return the port's name and what came back in the meantime, if `listen`."""
    import mido

    wanted = order["port"]
    outputs: list[str] = mido.get_output_names()
    name = choose_port(outputs, wanted, "output")
    source = choose_port(mido.get_input_names(), wanted, "input") if order["listen"] else None
    connections = _Connections.of_api(getattr(mido.backend, "api", None))
    output = mido.open_output(name)
    input_port = None if source is None else mido.open_input(source)
    try:
        connections.require(name, getattr(output, "api", None))
        if input_port is not None:
            for _ in input_port.iter_pending():  # what it said before is no answer
                pass
        for message in order["messages"]:
            output.send(mido.Message.from_bytes(message))
            time.sleep(order["interval_ms"] / 1000)
        time.sleep(order["wait_s"])
        heard = [] if input_port is None else [message.bytes() for message in input_port.iter_pending()]
        if name not in mido.get_output_names():
            raise DeviceError(f"the MIDI port {name} vanished while it was written to", mend=SEE_PORTS)
        connections.require(name, getattr(output, "api", None))
    finally:
        for port in (input_port, output):
            if port is not None:
                port.close()
        connections.close()
    return {"port": name, "heard": heard}


def choose_port(names: list[str], wanted: str, what: str) -> str:
    """The one port whose name contains `wanted`, in any case; a whole name wins. `DeviceError` when there is none (it
    may have been unplugged), `UsageError` when there are several."""
    found = [name for name in dict.fromkeys(names) if wanted.lower() in name.lower()]
    found = [name for name in found if name.lower() == wanted.lower()] or found
    if not found:
        raise DeviceError(
            f"no such MIDI {what} port", got=wanted, allowed=", ".join(names) or "none is there", mend=SEE_PORTS
        )
    if len(found) > 1:
        raise UsageError(
            f"several MIDI {what} ports have this name", got=wanted, allowed=found, mend="name one of them"
        )
    return found[0]


class _Connections:
    """Whether JACK has really connected our new output. Other systems refuse to open what they cannot connect."""

    def __init__(self, client: jack.Client | None):
        self._client = client
        self._before = self._outputs()

    @classmethod
    def of_api(cls, api: str | None) -> _Connections:
        """To be made before the port is opened, so that the port of ours can be told from the others."""
        if api not in (JACK_API, None):
            return cls(None)
        try:
            import jack
        except ModuleNotFoundError:
            return cls(None)
        for silence in (jack.set_error_function, jack.set_info_function):
            silence(lambda message: None)
        try:
            return cls(jack.Client("buscomp-midi", no_start_server=True))
        except jack.JackError:
            return cls(None)

    def require(self, name: str, api: str | None) -> None:
        """`DeviceError` unless an output that is new leads to the port `name`."""
        if api != JACK_API:
            return
        if self._client is None:
            raise UsageError(
                "a MIDI port under JACK can be trusted only when its connection can be looked at",
                mend="type: pip install JACK-Client",
            )
        port = self._client.get_port_by_name(name)
        connected = {connection.name for connection in self._client.get_all_connections(port)}
        if not connected & (self._outputs() - self._before):
            raise DeviceError(
                f"the MIDI port {name} is not connected: whatever is sent to it would vanish", mend=SEE_PORTS
            )

    def close(self) -> None:
        """Leave JACK in good order; it waits for a client that just ends."""
        if self._client is not None:
            self._client.close()

    def _outputs(self) -> set[str]:
        if self._client is None:
            return set()
        return {port.name for port in self._client.get_ports(is_midi=True, is_output=True)}


def main() -> None:
    """Answer one order; errors that a person can mend are an answer, too."""
    try:
        answer = converse(json.load(sys.stdin))
    except BuscompError as error:
        answer = {"error": str(error), "usage": isinstance(error, UsageError)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
