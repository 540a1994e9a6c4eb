"use strict";
// The operator's page. It shows what the server says, through textContent alone, and sends wishes; it decides nothing.

const STALE_MS = 3000;      // without a word from the server what is shown is old
const DELIBERATE_MS = 600;  // an Enter so soon after a question appeared was meant for something else
const REMIND_MS = 60000;    // a question that nobody answers sounds again
const $ = (id) => document.getElementById(id);

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || `the panel answered ${answer.status}`);
  return told;
}

function made(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (name) element.className = name;
  return element;
}

const number = (value, digits, unit) => (value === null || value === undefined ? "–" : `${value.toFixed(digits)} ${unit}`.trim());
const clock = (seconds) => `${seconds < 0 ? "-" : ""}${Math.floor(Math.abs(seconds) / 60)}:${String(Math.floor(Math.abs(seconds) % 60)).padStart(2, "0")}`;

function long(hours) {
  if (hours === null || hours === undefined) return "–";
  if (hours >= 48) return `${(hours / 24).toFixed(1)} days`;
  return hours >= 1 ? `${hours.toFixed(1)} hours` : `${Math.round(hours * 60)} min`;
}

// The door

function door() {
  const enter = async (key) => {
    try {
      await post("/login", { key });
      location.replace("/");
    } catch (error) {
      $("refused").textContent = error.message;
    }
  };
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  history.replaceState(null, "", "/");
  if (key) enter(key);
  $("login").addEventListener("submit", (event) => {
    event.preventDefault();
    enter($("key").value.trim());
  });
}

// Sound: after the first touch of a key or the mouse, as browsers ask for

const sound = {
  context: null, on: true, played: 0,
  wake() {
    if (!sound.context && window.AudioContext) sound.context = new AudioContext();
    if (sound.context && sound.context.state === "suspended") sound.context.resume();
    sound.tell();
  },
  tell() {
    const heard = sound.on && sound.context !== null;
    $("sound").textContent = heard ? "Sound: on" : sound.on ? "Sound: click once" : "Sound: off";
    $("sound").setAttribute("aria-pressed", String(heard));
  },
  play(tones, kind) {  // [hertz, seconds] one after the other
    sound.played += 1;
    if (!sound.on || !sound.context) return;
    let at = sound.context.currentTime + 0.02;
    for (const [hertz, seconds] of tones) {
      const oscillator = new OscillatorNode(sound.context, { type: kind, frequency: hertz });
      const gain = new GainNode(sound.context, { gain: 0 });
      gain.gain.linearRampToValueAtTime(0.25, at + 0.01);
      gain.gain.setValueAtTime(0.25, at + seconds - 0.03);
      gain.gain.linearRampToValueAtTime(0, at + seconds);
      oscillator.connect(gain).connect(sound.context.destination);
      oscillator.start(at);
      oscillator.stop(at + seconds);
      at += seconds + 0.04;
    }
  },
  question() { sound.play([[523, 0.15], [784, 0.3]], "sine"); },
  wrong() { sound.play([[880, 0.18], [587, 0.18], [880, 0.18], [587, 0.35]], "square"); },
  alarm() { sound.play([[740, 0.2], [740, 0.2], [740, 0.35]], "triangle"); },
  lost() { sound.play([[220, 0.3], [196, 0.3], [165, 0.6]], "sawtooth"); },
};

// The page

const seen = { state: null, news: performance.now(), stale: false, over: false, question: null, since: 0, sent: null,
  reminded: 0, alarm: null, take: null, front: null, asking: null };

function say(text) {
  $("said").textContent = text;
}

async function wish(what, more = {}) {
  if (seen.stale) return say("The connection is lost: nothing was sent.");
  say("");
  try {
    await post("/do", { do: what, ...more });
  } catch (error) {
    say(error.message);
  }
}

function mood() {
  const state = seen.state;
  if (seen.stale) return "stale";
  if (!state || !state.daemon) return "none";
  if (state.question) return state.question.kind === "correct" ? "wrong" : "ask";
  const doing = state.daemon.doing || "";
  if (doing === "paused") return "paused";
  if (doing.startsWith("waiting")) return "wrong";
  return doing === "take" ? "play" : "listen";
}

const DOING = { take: "Recording", fingerprint: "Listening to the knobs", paused: "Paused", starting: "Starting",
  "waiting for the operator": "Turn the knobs", "waiting for a correction": "The audio does not confirm it",
  "waiting for the device": "The audio device is gone", "turning the knobs": "The unit turns its knobs" };

function showState(state) {
  const before = seen.state;
  seen.state = state;
  const daemon = state.daemon, doing = daemon && daemon.doing;
  $("doing").textContent = daemon ? DOING[doing] || doing : state.counts && !state.counts.next ? "Everything is captured" : "No capture is running";
  const failed = !daemon && state.alarms && state.alarms.length && state.alarms[0].alarm === "session_failed" ? state.alarms[0].told : null;
  const wanted = daemon && daemon.requested !== "go" && doing !== "paused" ? ` Will ${daemon.requested} after this take.` : "";
  $("where").textContent = state.trouble || (failed ? `The capture has failed: ${failed}` : daemon ? `${state.unit || ""}, ${daemon.setting_id || state.dataset}.${wanted}` : `${state.dataset}: buscomp capture goes on where it stopped.`);
  showQuestion(state.question);
  showFront(state.front);
  showProof(state.proof, doing);
  showProgress(state, daemon);
  showTakes(state.takes || []);
  showAlarms(state.alarms || [], before !== null);
  showHealth(state.health);
  document.body.dataset.mood = mood();
}

function showQuestion(question) {
  $("ask").hidden = !question;
  $("now").hidden = Boolean(question);
  const id = question ? question.question_id : null;
  if (id === seen.question) return;
  seen.question = id;
  seen.since = performance.now();
  seen.sent = null;
  $("done").disabled = false;
  say("");
  if (seen.asking === "accept" && $("reason").open) $("reason").close();
  if (!question) return;
  const wrong = question.kind === "correct";
  const whose = question.serial ? ` (unit ${question.serial})` : "";
  $("asked").textContent = wrong ? `Look at the unit${whose}: it should stand at ${question.setting_id}` : `Set the unit${whose} to ${question.setting_id}`;
  $("heard").hidden = !wrong;
  $("heard").textContent = wrong ? `The audio says: ${question.told}` : "";
  const held = question.moves.filter((move) => move.held && !wrong), moving = question.moves.filter((move) => wrong ? move.control === question.suspect : !move.held);
  $("moves").className = moving.length < 3 ? "few" : "";
  $("moves").replaceChildren(...moving.map((move) => {
    const row = made("li");
    row.append(made("span", move.label, "label"), made("span", move.to, "to"));
    if (move.from) row.append(made("span", wrong ? `seems to stand at ${move.from}` : `from ${move.from}${move.way ? ": " + move.way : ""}`, "from"));
    return row;
  }));
  $("kept").hidden = held.length === 0;
  $("kept").textContent = `And for the whole dataset: ${held.map((move) => `${move.label} ${move.to}`).join(", ")}`;
  $("done").firstChild.textContent = wrong ? "Measure again " : "Done ";
  $("accept").hidden = !wrong;
  (wrong ? sound.wrong : sound.question)();
  seen.reminded = performance.now();
  if (!document.querySelector("dialog[open]")) $("done").focus();
}

function showFront(front) {
  $("panel").hidden = !front;
  const text = front ? front.wide : null;
  if (text === seen.front) return;
  seen.front = text;
  for (const width of ["wide", "narrow"]) {
    const place = document.querySelector(`#panel .${width}`);
    if (!front) place.replaceChildren();
    else place.replaceChildren(document.importNode(new DOMParser().parseFromString(front[width], "image/svg+xml").documentElement, true));
  }
}

function showProof(proof, doing) {
  const words = { match: "✓ Proven by ear", mismatch: "▲ Refused", unknown: "? Not proven yet" };
  const listening = doing === "fingerprint";
  $("proof").className = proof && !listening ? proof.verdict : "";
  $("proof").textContent = listening ? "Listening…" : proof ? `${words[proof.verdict] || proof.verdict}: ${proof.told}` + (proof.override_reason ? ` (taken as it is: ${proof.override_reason})` : "") : "";
}

function pairs(place, rows) {
  place.replaceChildren(...rows.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
}

function showProgress(state, daemon) {
  const pass = state.pass, counts = state.counts || {};
  $("pass").max = pass ? pass.all : 1;
  $("pass").value = pass ? pass.done : 0;
  $("pass-told").textContent = pass ? `${pass.done} of ${pass.all} takes` : "–";
  const takes = counts.takes || {}, accepted = takes.accepted || 0, all = accepted + (takes.planned || 0);
  $("campaign").max = all || 1;
  $("campaign").value = accepted;
  $("campaign-told").textContent = `${accepted} of ${all} takes`;
  const rejected = Object.entries(counts.reasons || {}).map(([code, count]) => `${count} ${code}`).join(", ");
  const finish = state.finish ? new Date(state.finish.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–";
  pairs($("forecast"), [
    ["Passes", counts.passes ? `${counts.passes.done} of ${counts.passes.all}` : "–"],
    ["Unit at work", long(counts.hours_left)],
    [state.finish && state.finish.calendar ? "Finished, by the shifts" : "Finished", finish],
    ["Disk left", `${long(counts.hours_of_disk_left)} of audio`],
    ["Rejected", rejected || "none"],
  ]);
  const paused = daemon && (daemon.requested === "pause" || daemon.doing === "paused");
  $("pause").hidden = !daemon || paused;
  $("resume").hidden = !paused;
  $("stop").disabled = !daemon || daemon.requested === "stop";
}

function showHealth(health) {
  if (!health) return;
  seen.health = [["Latency", number(health.latency_samples, 2, "samples")], ["Noise", number(health.noise_floor_dbfs, 1, "dBFS")],
    ["Hum", number(health.hum_dbfs, 1, "dBFS")], ["Xruns", `${health.xruns} in this session`]];
  if (!seen.metered) pairs($("health"), seen.health);
}

const STATUS = { accepted: "✓", rejected: "✕", superseded: "↻" };

function showTakes(takes) {
  const key = JSON.stringify(takes);
  if (key === seen.takes) return;
  seen.takes = key;
  const several = new Set(takes.map((take) => take.unit_id)).size > 1;
  document.querySelector("#log tbody").replaceChildren(...takes.map((take) => {
    const row = made("tr"), status = made("td"), what = made("td", take.song), why = made("td", take.why), act = made("td");
    status.append(made("span", `${STATUS[take.status] || ""} ${take.status}`, `status ${take.status}`), made("small", take.take_id));
    what.append(made("small", take.setting_id));
    if (several) what.append(made("small", take.unit_id));
    if (take.override_reason) why.append(made("small", take.override_reason));
    const gain = take.gain_reduction_mean_db === null ? "" : `${take.gain_reduction_mean_db.toFixed(1)} dB, ${take.gain_reduction_max_db.toFixed(1)} at most`;
    if (take.status === "accepted") {
      const again = made("button", "Again");
      again.setAttribute("aria-label", `Make ${take.take_id} again`);
      again.addEventListener("click", () => retake(take.take_id));
      act.append(again);
    }
    for (const code of take.overridable) {
      const accept = made("button", `Accept ${code}…`);
      accept.addEventListener("click", () => askReason(`Accept ${code} from now on?`, `Takes with this alarm are kept for the rest of the session. ${take.why}`, "override", { code }));
      act.append(accept);
    }
    row.append(status, what, made("td", gain), why, act);
    return row;
  }));
  const last = takes.find((take) => take.status === "accepted");
  $("take").hidden = !last;
  if (last && last.take_id !== seen.take) {
    seen.take = last.take_id;
    showPicture(last);
  }
}

async function showPicture(take) {
  const answer = await fetch(`/picture/${encodeURIComponent(take.take_id)}`);
  if (!answer.ok) return;
  const picture = await answer.json(), step = 400 / picture.dry.length;
  if (picture.take_id !== seen.take) return;
  const top = Math.max(...picture.dry, ...picture.wet, 1e-6);
  const outline = (peaks) => {
    const points = peaks.map((peak, n) => `${(n + 0.5) * step} ${(52 - 48 * peak / top).toFixed(1)}`);
    const under = peaks.map((peak, n) => `${(n + 0.5) * step} ${(52 + 48 * peak / top).toFixed(1)}`).reverse();
    return `M${points.join("L")}L${under.join("L")}Z`;
  };
  const reduced = (gains) => gains.map((gain) => (gain === null ? null : Math.max(0, -gain)));
  const reductions = reduced(picture.gain_db), expected = reduced(picture.expected_db || []);
  const most = Math.max(6, ...reductions, ...expected);
  const curve = (values) => {
    let line = "", pen = "M";
    values.forEach((one, n) => {
      if (one !== null) line += `${pen}${((n + 0.5) * step).toFixed(1)} ${(110 + 56 * one / most).toFixed(1)}`;
      pen = one === null ? "M" : "L";
    });
    return line;
  };
  document.querySelector("#picture .dry").setAttribute("d", outline(picture.dry));
  document.querySelector("#picture .wet").setAttribute("d", outline(picture.wet));
  document.querySelector("#picture .gain").setAttribute("d", curve(reductions));
  document.querySelector("#picture .expected").setAttribute("d", curve(expected));
  $("expected-legend").hidden = expected.length === 0;
  $("take-title").textContent = `Last take: ${take.song}`;
  $("take-told").textContent = `${take.take_id}, ${clock(picture.seconds)}; gain reduction ${number(take.gain_reduction_mean_db, 1, "dB")} in the mean, ${number(take.gain_reduction_max_db, 1, "dB")} at most. The lower scale is ${most.toFixed(0)} dB deep.`;
}

function showAlarms(alarms, loud) {
  const newest = alarms.length ? alarms[0] : null;
  document.querySelector("#calls ol").replaceChildren(...(alarms.length ? alarms.map((alarm) => {
    const row = made("li");
    row.append(made("time", new Date(alarm.time).toLocaleTimeString()), made("span", alarm.told));
    return row;
  }) : [made("li", "None in this session.", "none")]));
  const key = newest ? newest.time : null;
  if (key === seen.alarm) return;
  seen.alarm = key;
  const routine = newest === null || /^(waiting_for_the_operator|waiting_for_a_correction|paused)$/.test(newest.alarm);
  if (routine) return;
  $("alarm").hidden = false;
  document.querySelector("#alarm strong").textContent = "▲ Alarm";
  document.querySelector("#alarm span").textContent = newest.told;
  if (loud) sound.alarm();
}

// Meters

function bar(name, kind = "") {
  const row = made("div", null, `bar ${kind}`), track = made("div", null, "track");
  const fill = made("div", null, "fill"), mark = made("div", null, kind === "reduction" ? "wanted" : "peak"), told = made("output");
  track.append(fill, mark);
  row.append(made("span", name), track, told);
  return { row, fill, mark, told };
}

const meters = { key: "", bars: [] };

function showLive(live) {
  const playing = live && live.units && live.units.length;
  seen.metered = Boolean(playing);
  const between = seen.state && seen.state.daemon && seen.state.daemon.doing === "take" ? "Between two takes" : "Nothing sounds";
  $("playing").textContent = !playing ? between : live.song || "Fingerprint";
  $("position").value = playing ? Math.min(1, live.position_s / live.length_s) : 0;
  const settling = playing && live.song_position_s < 0;
  $("clock").textContent = !playing ? "" : settling ? `Settling: it begins in ${clock(-live.song_position_s)}` : `${clock(Math.min(live.song_position_s, live.song_length_s))} of ${clock(live.song_length_s)}`;
  const units = playing ? live.units : [{ send_rms_dbfs: [null, null], return_rms_dbfs: [null, null] }];
  const key = units.map((unit) => [unit.unit_id, unit.send_rms_dbfs.length, unit.return_rms_dbfs.length].join()).join(";");
  const shape = units.map((unit) => unit.send_rms_dbfs.length).join();
  if (meters.shape !== shape || (playing && meters.key !== key)) {
    meters.shape = shape;
    meters.key = key;
    meters.bars = units.map((unit, place) => ({
      send: unit.send_rms_dbfs.map((_, n) => bar(`Send ${"LR"[n] || n + 1}`)),
      back: unit.return_rms_dbfs.map((_, n) => bar(`Return ${"LR"[n] || n + 1}`)),
      reduction: bar("Reduction", "reduction"),
      title: units.length > 1 ? made("h2", unit.unit_id) : null,
    }));
    $("bars").replaceChildren(...meters.bars.flatMap((unit) => [...(unit.title ? [unit.title] : []), ...unit.send.map((b) => b.row), ...unit.back.map((b) => b.row), unit.reduction.row]));
  }
  const scale = (dbfs) => Math.max(0, Math.min(1, (dbfs + 60) / 60));
  units.forEach((unit, n) => {
    const level = (bars, rms, peaks) => bars.forEach((b, channel) => {
      const value = rms && rms[channel] !== null ? rms[channel] : null, peak = peaks ? peaks[channel] : null;
      b.fill.style.transform = `scaleX(${value === null ? 0 : scale(value)})`;
      b.mark.style.left = `${100 * (peak === null ? 0 : scale(peak))}%`;
      b.told.textContent = value === null ? "–" : value <= -119 ? "silent" : `${value.toFixed(1)}`;
      b.row.classList.toggle("hot", peak !== null && peak > -0.1);
    });
    level(meters.bars[n].send, unit.send_rms_dbfs, unit.send_peak_dbfs);
    level(meters.bars[n].back, unit.return_rms_dbfs, unit.return_peak_dbfs);
    const has = unit.reduction_db !== null && unit.reduction_db !== undefined, wanted = unit.expected_db;
    const b = meters.bars[n].reduction;
    b.fill.style.transform = `scaleX(${has ? Math.max(0, Math.min(1, unit.reduction_db / 20)) : 0})`;
    b.mark.style.left = `${100 * Math.max(0, Math.min(1, (wanted || 0) / 20))}%`;
    b.mark.hidden = wanted === null || wanted === undefined;
    b.told.textContent = has ? `${unit.reduction_db.toFixed(1)} dB` : "–";
  });
  const headroom = playing ? live.units.map((unit) => `send ${unit.send_headroom_db.toFixed(1)}, return ${unit.return_headroom_db.toFixed(1)} dB`).join("; ") : null;
  const expected = playing ? live.units.map((unit) => (unit.expected_db === null ? "–" : `${unit.expected_db.toFixed(1)} dB`)).join("; ") : "–";
  if (playing) pairs($("health"), [["Expected, as marked", expected], ["Headroom so far", headroom], ...(seen.health || [])]);
}

// What is pressed

function done() {
  if (!seen.question || seen.sent === seen.question || $("done").disabled) return;
  if (performance.now() - seen.since < DELIBERATE_MS) return;
  if (seen.stale) return say("The connection is lost: nothing was sent.");
  seen.sent = seen.question;
  $("done").disabled = true;
  say("Sent. Listening…");
  post("/do", { do: "done", question_id: seen.question }).catch((error) => {
    seen.sent = null;
    $("done").disabled = false;
    say(error.message);
  });
}

function retake(takeId) {
  wish("retake", { take_id: takeId }).then(() => { if (!$("said").textContent) say(`${takeId} will be made again.`); });
}

function askReason(title, text, what, more) {
  $("reason-title").textContent = title;
  document.querySelector("#reason p").textContent = text;
  $("why").value = "";
  seen.asking = what;
  $("reason").onclose = () => {
    if ($("reason").returnValue === "yes" && $("why").value.trim()) wish(what, { ...more, reason: $("why").value.trim() });
    $("reason").returnValue = "";
    seen.asking = null;
  };
  $("reason").showModal();
  $("why").focus();
}

function listen() {
  const source = new EventSource("/events");
  const news = (name, show) => source.addEventListener(name, (event) => {
    seen.news = performance.now();
    show(JSON.parse(event.data));
  });
  news("state", showState);
  news("live", showLive);
  news("beat", () => {});
  news("over", () => { seen.over = true; });
  seen.source = source;
}

function watch() {
  const silent = performance.now() - seen.news, stale = silent > STALE_MS;
  if (stale) $("stale").textContent = `✕ ${seen.over ? "The panel has ended." : "Connection lost."} What you see is ${Math.round(silent / 1000)} s old.${seen.source.readyState === EventSource.CLOSED ? " Open a new link." : ""}`;
  if (stale !== seen.stale) {
    seen.stale = stale;
    $("stale").hidden = !stale;
    if (stale && !seen.over) sound.lost();
    document.body.dataset.mood = mood();
    for (const button of document.querySelectorAll("#done, #accept, #pause, #resume, #stop, #retake")) button.disabled = stale;
    if (!stale && seen.sent) $("done").disabled = true;
  }
  if (!stale && seen.question && !seen.sent && performance.now() - seen.reminded > REMIND_MS) {
    seen.reminded = performance.now();
    sound.question();
  }
}

function page() {
  history.replaceState(null, "", "/");
  for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, sound.wake, { once: true });
  addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    if (event.repeat) return event.preventDefault();
    const idle = document.activeElement === document.body || document.activeElement === null;
    if (idle && !document.querySelector("dialog[open]")) done();
  });
  $("done").addEventListener("click", done);
  $("accept").addEventListener("click", () => {
    const question = seen.state.question;
    askReason("Take the setting as it is?", `The audio says: ${question.told}`, "accept", { question_id: question.question_id });
  });
  document.querySelector("#reason form").addEventListener("submit", () => { $("reason").returnValue = "yes"; });
  $("agreed").value = "yes";
  $("pause").addEventListener("click", () => wish("pause"));
  $("resume").addEventListener("click", () => wish("resume"));
  $("stop").addEventListener("click", () => $("sure").showModal());
  $("stopped").addEventListener("click", () => wish("stop"));
  $("retake").addEventListener("click", () => seen.take && retake(seen.take));
  for (const cancel of document.querySelectorAll("dialog .cancel")) cancel.addEventListener("click", () => cancel.closest("dialog").close(""));
  document.querySelector("#alarm button").addEventListener("click", () => { $("alarm").hidden = true; });
  $("sound").addEventListener("click", () => { sound.on = sound.context ? !sound.on : true; sound.wake(); });
  $("share").addEventListener("click", async () => {
    try {
      $("address").textContent = location.origin + (await post("/link", {})).path;
      $("other").showModal();
    } catch (error) { say(error.message); }
  });
  $("leave").addEventListener("click", async () => { await post("/logout", {}).catch(() => {}); location.replace("/"); });
  sound.tell();
  showLive(null);
  listen();
  setInterval(watch, 250);
}

if (document.body.id === "door") door(); else page();
