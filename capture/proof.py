"""The proof that every unit stands where the plan says: turned by its panel, heard by its fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..manifests.errors import DeviceError
from ..manifests.unit import Setting
from .control import Control
from .daemon import Daemon
from .interface import Recording
from .knob_check import MISMATCH, KnobCheck, Probed
from .playlist import Play
from .rack import RackUnit
from .stream import Stopped, Stream
from .warm_up import WarmUp, WarmUpRule

MAX_PROBES = 3  # of a setting that does not sound as planned, where nobody at the rack can say more
WARM_UP_S = 30.0  # from one fingerprint of the warm-up to the next


@dataclass
class Proof:
    """Turns the knobs of a rack and listens to them. `knobs` None: the plan trusts whoever turns them."""

    rack: Sequence[RackUnit]
    stream: Stream
    knobs: KnobCheck | None
    warm_up: WarmUpRule | None  # what `wait_until_warm` waits for
    control: Control
    daemon: Daemon
    report: Callable[[str], None]
    heard: dict[str, Probed] = field(default_factory=dict)  # by unit_id: its last fingerprint since it was turned

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Let every panel turn its unit to `setting`; `before` is where they stood, if that is known."""
        self.heard.clear()
        for place in self.rack:
            named: dict[str, Any] = {"setting_id": setting.setting_id, "unit_id": place.unit_id}
            with self.control.interruptible():
                if place.panel.hands_free:
                    self.daemon.doing("turning the knobs", **named)
                    place.panel.bring(setting, before)
                else:
                    told = f"set the unit to {setting.setting_id}"
                    with self.daemon.waiting("waiting for the operator", told, **named):
                        place.panel.bring(setting, before)

    def prove(self, setting: Setting, occasion: str) -> dict[str, Probed]:
        """Play the fingerprint until every unit sounds as planned, or somebody takes it as it is. By unit_id; empty
        where nothing is proven."""
        proven: dict[str, Probed] = {}
        attempt = 0
        while self.knobs is not None and len(proven) < len(self.rack):
            attempt += 1
            play, recording = self.stream.play_alone(partial(self.knobs.play, setting, occasion, self.rack[0]))
            wrong = []
            for place in self.rack:
                if place.unit_id not in proven:
                    probed = self._probed(place, setting, play, recording)
                    if probed.verdict == MISMATCH:
                        wrong.append((place, probed))
                    else:
                        proven[place.unit_id] = probed
            for place, probed in wrong:
                because = self._correct(place, setting, probed, attempt)
                if because is not None:
                    proven[place.unit_id] = self.knobs.accept(place, setting, probed, because)
        return proven

    def closing(self, setting: Setting) -> list[Callable[[], Play]]:
        """The play that ends a pass at `setting`; none where nothing is proven."""
        return [partial(self.knobs.play, setting, "end", self.rack[0])] if self.knobs is not None else []

    def moved(self, setting: Setting, play: Play, recording: Recording) -> str | None:
        """What a closing fingerprint says against the takes before it; None where every knob stands as it stood."""
        probed = [self._probed(place, setting, play, recording) for place in self.rack]
        return next((one.told for one in probed if one.verdict == MISMATCH), None)

    def moved_now(self, setting: Setting) -> str | None:
        """The same, after playing one now: where a pass is interrupted."""
        for load in self.closing(setting):
            return self.moved(setting, *self.stream.play_alone(load))
        return None

    def wait_until_warm(self, setting: Setting) -> None:
        """Repeat the fingerprint until the gain of every unit stands still; `DeviceError` when it does not."""
        if self.knobs is None or self.warm_up is None:
            return
        gates = {unit_id: WarmUp(self.warm_up) for unit_id in self.prove(setting, "warm_up")}
        heard_s = 0.0
        while gates:
            self.stream.pause_or_stop()
            load = partial(self.knobs.play, setting, "warm_up", self.rack[0], WARM_UP_S)
            play, recording = self.stream.play_alone(load)
            now_s = recording.stream_frame / play.layout.sample_rate
            if now_s < heard_s:  # the device was opened anew
                gates = {unit_id: WarmUp(self.warm_up) for unit_id in gates}
            heard_s = now_s
            for place in [place for place in self.rack if place.unit_id in gates]:
                probed = self.knobs.examine(
                    place, setting, play, recording, self.stream.loopback(recording), judged=False
                )
                if probed.loud_gain_db is None:
                    raise DeviceError(f"{place.unit_id} cannot be heard: {probed.told}", mend="look at the cables")
                gate = gates[place.unit_id]
                answer = gate.add(now_s, probed.loud_gain_db)
                if answer == "late":
                    raise DeviceError(
                        f"{place.unit_id} still drifts after {self.warm_up.minutes_most:g} minutes",
                        got=f"{gate.drift_db_per_10_min:.3f} dB in 10 minutes",
                        allowed=f"{self.warm_up.drift_db_per_10_min:g} dB",
                        mend="let it warm up, or correct warm_up in the grid",
                    )
                if answer == "warm":
                    self.report(f"{place.unit_id} is warm: {gate.drift_db_per_10_min:+.3f} dB in 10 minutes")
                    del gates[place.unit_id]

    def _correct(self, place: RackUnit, setting: Setting, probed: Probed, attempt: int) -> str | None:
        """Tell the panel what the audio says. Why somebody accepts it all the same, or None to measure again."""
        if place.panel.hands_free and attempt >= MAX_PROBES:
            raise DeviceError(
                f"{place.unit_id} does not stand at {setting.setting_id}: {probed.told}",
                mend="look at the unit and its panel, then type the same command again",
            )
        named = {"setting_id": setting.setting_id, "unit_id": place.unit_id}
        with self.control.interruptible(), self.daemon.waiting("waiting for a correction", probed.told, **named):
            answer = place.panel.correct(setting, probed.told, probed.suspect)
        if answer.kind == "stop":
            raise Stopped
        return answer.reason if answer.kind == "accept" else None

    def _probed(self, place: RackUnit, setting: Setting, play: Play, recording: Recording) -> Probed:
        assert self.knobs is not None
        probed = self.knobs.examine(place, setting, play, recording, self.stream.loopback(recording))
        named = {"setting_id": setting.setting_id, "unit_id": place.unit_id, "occasion": play.occasion}
        self.heard[place.unit_id] = probed
        self.daemon.event("fingerprint", verdict=probed.verdict, told=probed.told, **named)
        if probed.verdict == MISMATCH:
            self.report(f"{setting.setting_id}: {probed.told}")
        return probed
