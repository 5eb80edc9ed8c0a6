// The call page: draws one call and gives it its buttons. All that telephones is in offhook.js; nothing is decided here.

import { CallError, Meter, OffhookCall, microphones, numbers, openMicrophone } from "./offhook.js";

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const select = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ ($(id));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ ($(id));

const still = matchMedia("(prefers-reduced-motion: reduce)");
const NAMES = { agent: "Agent", caller: "You" };
/** @type {OffhookCall|null} */
let line = null;
/** @type {{voice: MediaStream, meter: Meter, clock: number}|null} */
let trial = null;

// Calling -------------------------------------------------------------------------------------------------------------

button("call").addEventListener("click", ({ detail: clicks }) => {
  // A double click calls, and does not hang up at once.
  if (clicks > 1) return;
  if (line && line.state !== "ended") line.hangUp();
  else call();
});
button("call").addEventListener("keydown", (event) => event.repeat && event.preventDefault());

async function call() {
  endTrial();
  say("");
  if (!select("number").value && !(await offer())) return;
  clear();
  line = new OffhookCall({
    to: select("number").value,
    microphone: select("microphone").value || undefined,
    onState: show,
    onWords: write,
    onResponse: time,
    onLevel: level,
    onStatistics: measure,
    onHeld: ({ held }) => status(held ? "You are on hold." : "You are connected again."),
    onMicrophone: ({ id }) => listMicrophones(id),
    onProblem: ({ code, text }) => say(text, code === "server" ? "warning" : "error"),
    onEnded: over,
  });
  try {
    await line.start();
  } catch {
    // `over` has said it.
  }
}

const TITLES = { idle: "Call", preparing: "Calling …", calling: "Calling …", ringing: "Ringing …", connected: "In call", reconnecting: "Line lost", ended: "Call ended" };

/** The panel that is open in a call: `keypad`, `settings` or none. */
let open = "";

/** Shows what belongs on the page now. */
function lay() {
  const state = line?.state ?? "idle";
  const live = state === "connected" || state === "reconnecting";
  const rest = state === "idle" || state === "ended";
  if (!live) open = "";
  const shown = {
    choices: rest,
    line: live || state === "idle" || trial,
    agent: live,
    you: live || trial,
    conversation: live || turns.size,
    keypad: open === "keypad",
    settings: rest || open === "settings",
    try: rest,
    announcing: live,
    figures: live || line?.seconds,
    ...{ mute: live, "show-keypad": live, "show-settings": live },
  };
  for (const [id, is] of Object.entries(shown)) $(id).hidden = !is;
  for (const panel of ["keypad", "settings"]) button(`show-${panel}`).setAttribute("aria-expanded", String(open === panel));
  $("phone").dataset.state = state;
}

/** @param {import("./offhook.js").StateChange} change */
function show({ state, before, audible }) {
  const under = state !== "ended";
  const to = select("number").value;
  lay();
  $("phone").toggleAttribute("data-deaf", state === "reconnecting" && !audible);
  $("title").textContent = under ? `Call to ${to}` : "Call ended";
  document.title = TITLES[state];
  big(under ? "Hang up" : "Call again", under);
  switch (state) {
    case "preparing":
      status("If the browser asks, allow the microphone.");
      break;
    case "calling":
      status(`Calling ${to} …`);
      break;
    case "ringing":
      status("Ringing …");
      break;
    case "connected":
      say("");
      status(before === "reconnecting" ? "The line is back." : "You are connected.");
      awake();
      break;
    case "reconnecting":
      status("");
      $("quality").hidden = true;
      say(audible ? "The server was lost and is being called again. You can go on talking." : "The line is lost. Reconnecting …", "warning");
      break;
  }
}

/** @param {import("./offhook.js").Ended} ended */
function over({ text, seconds, error }) {
  for (const id of ["quality", "statistics"]) $(id).hidden = true;
  $("duration").textContent = minutes(seconds);
  const waits = [...responses.values()].sort((one, other) => one - other);
  if (waits.length) {
    $("quality").hidden = false;
    $("quality").dataset.is = "";
    $("quality").textContent = `Answers after ${inSeconds(waits[Math.floor(waits.length / 2)])} (median)`;
  }
  status(error ? "" : text);
  if (error) say(text);
  if (!seconds) $("title").textContent = error ? "Call us" : "Call ended";
  // Whoever stood on a button that is gone stands on the one that remains.
  if (document.activeElement === document.body || document.activeElement?.closest("[hidden]")) button("call").focus();
  lock?.release().catch(() => {});
  mute(false);
}

/** @param {string} label @param {boolean} red */
function big(label, red) {
  const shown = button("call");
  shown.classList.toggle("red", red);
  shown.disabled = false;
  picture(shown, red ? "i-down" : "i-phone");
  /** @type {HTMLElement} */ (shown.querySelector("span")).textContent = label;
}

/** @param {HTMLElement} shown @param {string} icon */
function picture(shown, icon) {
  /** @type {Element} */ (shown.querySelector("use")).setAttribute("href", `#${icon}`);
}

/** @param {string} text */
function status(text) {
  $("status").textContent = text;
}

/** Says what a caller must not miss. @param {string} text @param {string} [kind] */
function say(text, kind = "error") {
  const notice = $("notice");
  notice.hidden = !text;
  notice.dataset.kind = kind;
  notice.replaceChildren(...(text ? [element("p", text)] : []));
}

/** @param {string} name @param {string} text @param {string} [kind] */
function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** @type {WakeLockSentinel|undefined} */
let lock;

/** A phone that sleeps would end the call. */
async function awake() {
  try {
    lock = await navigator.wakeLock?.request("screen");
  } catch {
    // It may: the battery is low.
  }
}

document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && line?.state === "connected" && awake());

// The conversation ----------------------------------------------------------------------------------------------------

/** @type {Map<string, HTMLElement>} */
const turns = new Map();
/** @type {Map<number, number>} */
const responses = new Map();

function clear() {
  turns.clear();
  responses.clear();
  $("words").replaceChildren();
  $("announcer").replaceChildren();
  $("nothing").hidden = false;
  $("pressed").textContent = "";
  $("duration").textContent = minutes(0);
  $("quality").hidden = true;
  past.length = 0;
}

/** @param {import("./offhook.js").Words} words */
function write({ who, text, turn, final }) {
  const scroll = $("scroll");
  const follows = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 48;
  $("nothing").hidden = true;
  const key = `${who} ${turn}`;
  let item = turns.get(key);
  if (!item) {
    item = element("li", "", who);
    item.append(element("span", NAMES[who] ?? who, "who"), element("p", ""));
    item.dataset.turn = String(turn);
    turns.set(key, item);
    // A word that was understood late still stands where it was said.
    const later = [...turns.values()].filter((other) => Number(other.dataset.turn) > turn);
    const before = later.sort((one, other) => Number(one.dataset.turn) - Number(other.dataset.turn))[0];
    $("words").insertBefore(item, before ?? null);
    if (who === "agent" && responses.has(turn)) chip(item, /** @type {number} */ (responses.get(turn)));
  }
  const said = /** @type {HTMLElement} */ (item.querySelector("p"));
  if (said.textContent !== text) said.textContent = text;
  if (final && !item.dataset.final) announce(`${NAMES[who] ?? who}: ${text}`);
  if (final) item.dataset.final = "true";
  if (follows) scroll.scrollTop = scroll.scrollHeight;
}

/** Reads out what is finished, once; the conversation itself is no live region, for it is rewritten as it grows. @param {string} text */
function announce(text) {
  if (!/** @type {HTMLInputElement} */ ($("announce")).checked) return;
  const spoken = element("p", text);
  $("announcer").append(spoken);
  setTimeout(() => spoken.remove(), 15_000);
}

/** @param {import("./offhook.js").Response} response */
function time({ turn, ms }) {
  responses.set(turn, ms);
  const item = turns.get(`agent ${turn}`);
  if (item) chip(item, ms);
}

/** @param {HTMLElement} item @param {number} ms */
function chip(item, ms) {
  item.querySelector(".after")?.remove();
  const after = element("span", "", "after");
  after.append(element("span", "answered after ", "visually-hidden"), inSeconds(ms));
  /** @type {HTMLElement} */ (item.querySelector(".who")).after(after);
}

/** @param {number} ms */
function inSeconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** @param {number} seconds */
function minutes(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")}`;
}

setInterval(() => {
  if (line && line.state !== "ended") $("duration").textContent = minutes(line.seconds);
}, 250);

// Levels --------------------------------------------------------------------------------------------------------------

/** @type {import("./offhook.js").Level[]} */
const past = [];
let shownAt = 0;

/** @param {import("./offhook.js").Level} levels */
function level(levels) {
  past.push(levels);
  bar("agent-level", levels.agent);
  bar("you-level", levels.you);
  if (!still.matches) draw();
}

/** @param {string} id @param {number} value */
function bar(id, value) {
  const meter = $(id);
  // Those who asked for little motion see four steps a second, and assistive technology is told once a second.
  const now = performance.now();
  if (!still.matches || now - Number(meter.dataset.at ?? 0) > 250) {
    meter.dataset.at = String(now);
    /** @type {HTMLElement} */ (meter.firstElementChild).style.transform = `scaleX(${value.toFixed(3)})`;
  }
  if (now - Number(meter.dataset.told ?? 0) > 1_000) {
    meter.dataset.told = String(now);
    meter.setAttribute("aria-valuenow", String(Math.round(100 * value)));
  }
}

const STEP = 5;
const WIDTH = 3;

/** Somebody asks, somebody answers: what the page shows before there is anything to show. @param {number} at from 0 to 1 */
function resting(at) {
  const word = 0.25 + 0.75 * Math.abs(Math.sin(at * 47) * Math.cos(at * 13));
  const [asks, answers] = [[0.08, 0.36], [0.46, 0.94]].map(([from, to]) => (at > from && at < to ? Math.sin((Math.PI * (at - from)) / (to - from)) ** 0.6 : 0));
  return { you: word * asks, agent: word * answers };
}

/** The last seconds: the agent above the line, the caller below it. */
function draw() {
  const canvas = /** @type {HTMLCanvasElement} */ ($("trace"));
  const { clientWidth: width, clientHeight: height } = canvas;
  const pen = canvas.getContext("2d");
  if (!pen || !width) return;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const style = getComputedStyle(canvas);
  const colours = { agent: style.getPropertyValue("--agent"), you: style.getPropertyValue("--you"), idle: style.getPropertyValue("--edge") };
  const columns = Math.floor(width / STEP);
  if (past.length > columns) past.splice(0, past.length - columns);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const middle = height / 2;
  for (let column = 0; column < columns; column++) {
    const levels = line || trial ? past[past.length - columns + column] : resting(column / columns);
    const x = width - (columns - column) * STEP + (STEP - WIDTH);
    const reach = middle - 3;
    pen.globalAlpha = Math.min(1, 0.15 + (column / columns) * 1.4);
    for (const [who, up] of /** @type {const} */ ([["agent", -1], ["you", 1]])) {
      const value = levels?.[who] ?? 0;
      pen.fillStyle = value > 0.06 ? colours[who] : colours.idle;
      const tall = Math.max(2, value * reach);
      pen.beginPath();
      pen.roundRect(x, up < 0 ? middle - 1.5 - tall : middle + 1.5, WIDTH, tall, 1.5);
      pen.fill();
    }
  }
}

new ResizeObserver(draw).observe($("trace"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

/** @param {import("./offhook.js").Statistics} seen */
function measure(seen) {
  const trip = seen.roundTripMs ?? 0;
  const lost = Math.max(seen.lossPercent ?? 0, seen.sentLossPercent ?? 0, seen.concealedPercent ?? 0);
  const grade = lost > 8 || trip > 600 ? "poor" : lost > 2 || trip > 300 ? "fair" : "good";
  $("quality").hidden = false;
  $("quality").dataset.is = grade;
  $("quality").textContent = { good: "Good line", fair: "Fair line", poor: "Poor line" }[grade];
  const ms = (/** @type {number|null} */ value) => (value === null ? "–" : `${Math.round(value)} ms`);
  const percent = (/** @type {number|null} */ value) => (value === null ? "–" : `${value.toFixed(1)} %`);
  $("statistics").hidden = false;
  $("statistics").replaceChildren(
    ...Object.entries({
      "Round trip": ms(seen.roundTripMs),
      "Waits before it is played": ms(seen.jitterBufferMs),
      "Lost on the way here": percent(seen.lossPercent),
      "Lost on the way there": percent(seen.sentLossPercent),
      Codec: `${seen.codec ?? "–"}${seen.route === "relay" ? ", relayed" : ""}`,
    }).flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
  );
}

// Mute, keypad, settings ----------------------------------------------------------------------------------------------

button("mute").addEventListener("click", () => mute(!line?.muted));

/** @param {boolean} muted */
function mute(muted) {
  if (line) line.muted = muted;
  const shown = button("mute");
  shown.setAttribute("aria-pressed", String(muted));
  picture(shown, muted ? "i-muted" : "i-mic");
  $("you-name").textContent = muted ? "You (muted)" : "You";
}

for (const panel of ["keypad", "settings"]) {
  button(`show-${panel}`).addEventListener("click", () => {
    open = open === panel ? "" : panel;
    lay();
    if (open) /** @type {HTMLElement} */ ($(panel).querySelector("button, select")).focus();
  });
  $(panel).addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !open) return;
    open = "";
    lay();
    button(`show-${panel}`).focus();
  });
}

/** @param {string} key */
function press(key) {
  if (!line || (line.state !== "connected" && line.state !== "reconnecting")) return;
  line.press(key);
  $("pressed").textContent = ($("pressed").textContent + key).slice(-24);
}

$("keypad").addEventListener("click", ({ target }) => {
  const key = /** @type {HTMLElement} */ (target).closest("button")?.dataset.key;
  if (key) press(key);
});
$("keypad").addEventListener("keydown", ({ key, repeat, ctrlKey, metaKey, altKey }) => {
  if (/^[0-9*#]$/.test(key) && !repeat && !ctrlKey && !metaKey && !altKey) press(key);
});

// Microphones ---------------------------------------------------------------------------------------------------------

const REMEMBERED = "offhook.microphone";

/** @param {string} [used] */
async function listMicrophones(used) {
  const there = (await microphones()).filter(({ label, id }) => label && id !== "default" && id !== "communications");
  const list = select("microphone");
  const chosen = list.value || remembered();
  list.replaceChildren(...[{ id: "", label: "Default microphone" }, ...there].map(({ id, label }) => new Option(label, id)));
  // Whoever chose none stays with the default; whose choice is gone sees what is used in its place.
  list.value = (chosen && [used, chosen].find((id) => there.some((one) => one.id === id))) || "";
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return "";
  }
}

select("microphone").addEventListener("change", async () => {
  const id = select("microphone").value;
  try {
    localStorage.setItem(REMEMBERED, id);
  } catch {
    // It is asked for again next time.
  }
  try {
    if (line && line.state !== "ended") await line.useMicrophone(id || undefined);
    else if (trial) await beginTrial();
  } catch (error) {
    sorry(error);
  }
});

navigator.mediaDevices?.addEventListener("devicechange", () => listMicrophones());

button("try").addEventListener("click", async () => {
  if (trial) return endTrial();
  try {
    await beginTrial();
  } catch (error) {
    sorry(error);
  }
});

async function beginTrial() {
  endTrial();
  const voice = await openMicrophone(select("microphone").value || undefined);
  const meter = new Meter(voice);
  trial = { voice, meter, clock: window.setInterval(() => level({ you: meter.level(), agent: 0 }), 60) };
  button("try").setAttribute("aria-pressed", "true");
  say("");
  lay();
  await listMicrophones(voice.getAudioTracks()[0].getSettings().deviceId);
}

function endTrial() {
  if (!trial) return;
  clearInterval(trial.clock);
  trial.meter.close();
  for (const track of trial.voice.getTracks()) track.stop();
  trial = null;
  button("try").setAttribute("aria-pressed", "false");
  past.length = 0;
  lay();
  draw();
}

/** @param {unknown} error */
function sorry(error) {
  if (error instanceof CallError) say(error.message);
  else throw error;
}

// The first thing -----------------------------------------------------------------------------------------------

/** Shows the numbers that can be called; whether there are any. */
async function offer() {
  try {
    const there = await numbers();
    const list = select("number");
    const wanted = new URLSearchParams(location.search).get("to") ?? list.value;
    list.replaceChildren(...there.map((number) => new Option(number, number)));
    if (there.includes(wanted)) list.value = wanted;
    $("numbers").hidden = there.length < 2;
    button("call").disabled = !there.length;
    if (!there.length) say("This server offers no number that can be called from a web page.", "warning");
    return there.length > 0;
  } catch (error) {
    sorry(error);
    return false;
  }
}

if (!window.isSecureContext) sorry(new CallError("insecure"));
offer();
listMicrophones();
