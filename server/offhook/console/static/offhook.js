// Offhook in a web page: places a call to an Offhook server from any page, with the browser as the telephone.
//
//     import { call } from "https://pbx.example/call/offhook.js";
//     const line = await call({ to: "100", onWords: ({ who, text }) => console.log(who, text) });
//     line.addEventListener("ended", ({ detail }) => console.log(detail.text));
//     hangUpButton.onclick = () => line.hangUp();
//
// One ES module without dependencies. It has the microphone, the sound, the signalling and the mending of a lost line;
// it draws nothing. Everything a caller may have to be told is an English sentence (`CallError.message`,
// `Ended.text`), with a code beside it for pages that speak another language.

/**
 * @typedef {"idle"|"preparing"|"calling"|"ringing"|"connected"|"reconnecting"|"ended"} State
 *   `preparing`: the browser asks for the microphone. `calling`: the server is being reached. `ringing`: it has taken
 *   the call. `connected`: sound flows both ways. `reconnecting`: the line is lost and is being mended.
 *
 * @typedef {object} StateChange
 * @property {State} state
 * @property {State} before
 * @property {boolean} audible   sound flows all the same (with `reconnecting`: only the signalling was lost)
 *
 * @typedef {object} Words       what one party said in one turn, as far as it is known
 * @property {"caller"|"agent"} who
 * @property {string} text       the whole of the turn so far: it replaces what came for the same `who` and `turn`
 * @property {number} turn       the turns of a call are numbered in their order, whoever speaks
 * @property {boolean} final     nothing will follow for this turn
 *
 * @typedef {object} Response
 * @property {number} turn       the agent's turn
 * @property {number} ms         from the caller's last sound to the agent's first
 *
 * @typedef {object} Level       loudness now, from 0 (silence) to 1 (as loud as speech gets)
 * @property {number} you
 * @property {number} agent
 *
 * @typedef {object} Statistics  how the line is, over the last seconds; null where the browser does not know yet
 * @property {number|null} roundTripMs
 * @property {number|null} jitterBufferMs    how long sound waits here before it is played
 * @property {number|null} lossPercent       of the packets to this browser
 * @property {number|null} sentLossPercent   of the packets from it, as the server reports
 * @property {number|null} concealedPercent  of what was played here, how much had to be made up
 * @property {string|null} codec             such as `opus`
 * @property {string|null} route             `host`, `srflx`, `prflx`, or `relay`: by way of a TURN server
 *
 * @typedef {object} Ended
 * @property {string} why        `hangup` (this side), `lost`, another `CallError` code, or the server's word
 * @property {string} text       a sentence for the caller
 * @property {number} seconds    how long the call was connected
 * @property {CallError|null} error   null: it ended as calls do
 *
 * @typedef {object} Options
 * @property {string} to                     the number to call
 * @property {string} [from]                 who calls, if the server may know
 * @property {string|URL} [server]           where the server is; by default where this file came from
 * @property {string|MediaStream} [microphone]  a device's id, or sound of the page's own making
 * @property {HTMLAudioElement} [audio]      what plays the agent; by default an element of its own
 * @property {boolean} [relay]               send sound by TURN only, never directly
 * @property {number} [patienceMs]           how long a lost line is mended before it is given up (60,000)
 * @property {(change: StateChange) => void} [onState]
 * @property {(words: Words) => void} [onWords]
 * @property {(response: Response) => void} [onResponse]
 * @property {(level: Level) => void} [onLevel]         about 16 times a second
 * @property {(statistics: Statistics) => void} [onStatistics]   every 2 s
 * @property {(held: {held: boolean}) => void} [onHeld]
 * @property {(microphone: Microphone) => void} [onMicrophone]   another one is in use now
 * @property {(problem: {code: string, text: string}) => void} [onProblem]   something the caller should know; the call goes on
 * @property {(ended: Ended) => void} [onEnded]
 *
 * @typedef {object} Microphone
 * @property {string} id
 * @property {string} label
 */

const PATIENCE_MS = 60_000;
const OPEN_MS = 8_000; // for a socket to open
const RING_MS = 120_000; // for a call to be answered
const ANSWER_MS = 6_000; // for an answer to an offer within a call
const RESTART_MS = 2_500; // over a socket that may have gone with the path
const SETTLE_MS = 6_000; // for sound to flow again after one
const FIRST_SOUND_MS = 20_000; // for sound to flow at all
const GRACE_MS = 800; // a path that comes back within this was never lost
const DEAF_MS = 1_500; // without a packet, where they were to come without a pause; browsers notice after 5 s and more
const LISTEN_MS = 250;
const LEVEL_MS = 60;
const STATISTICS_MS = 2_000;
const TONE_MS = 120;
const TONE_GAP_MS = 70;

const SENTENCES = {
  insecure: "This page is not secure, so the browser gives it no microphone. Open it with https:// and call again.",
  unsupported: "This browser cannot make calls. A current Chrome, Edge, Firefox or Safari can.",
  "microphone-refused": "The microphone was refused. Allow it for this page in the browser's settings, then call again.",
  "microphone-missing": "No microphone was found. Connect one, then call again.",
  "microphone-busy": "The microphone cannot be opened: another program may be using it. Close that one, then call again.",
  unreachable: "The server cannot be reached. Check the internet connection, then call again.",
  unanswered: "Nobody answered. Please try again later.",
  "no-sound": "The call was answered, but no sound gets through. A firewall may be in the way: try another network.",
  lost: "The line was lost and could not be regained. Please call again.",
  refused: "The call was not taken. Please try again later.",
};

/** Why a call could not be made or go on. `message` is a sentence for the caller, `code` a key of it for pages. */
export class CallError extends Error {
  /** @param {string} code @param {string} [message] */
  constructor(code, message) {
    super(message || SENTENCES[/** @type {keyof typeof SENTENCES} */ (code)] || SENTENCES.refused);
    this.name = "CallError";
    this.code = code;
  }
}

/**
 * Calls, and gives the call as soon as the server has taken it (it rings); `onState` tells when sound flows.
 * @param {Options} options
 * @returns {Promise<OffhookCall>}
 * @throws {CallError}
 */
export async function call(options) {
  const line = new OffhookCall(options);
  await line.start();
  return line;
}

/**
 * The numbers that a server offers to be called.
 * @param {string|URL} [server]
 * @returns {Promise<string[]>}
 * @throws {CallError}
 */
export async function numbers(server) {
  return (await configuration(home(server))).to;
}

/**
 * The microphones there are. Browsers tell their names only after one of them was allowed.
 * @returns {Promise<Microphone[]>}
 */
export async function microphones() {
  if (!navigator.mediaDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter(({ kind, deviceId }) => kind === "audioinput" && deviceId)
    .map(({ deviceId, label }) => ({ id: deviceId, label }));
}

/**
 * Opens a microphone as a telephone needs it. Whoever opens it stops its tracks.
 * @param {string} [id]
 * @returns {Promise<MediaStream>}
 * @throws {CallError}
 */
export async function openMicrophone(id) {
  if (!window.isSecureContext) throw new CallError("insecure");
  if (!navigator.mediaDevices) throw new CallError("unsupported");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: id ? { ...audio, deviceId: { exact: id } } : audio });
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (name === "OverconstrainedError" && id) return openMicrophone(); // unplugged since it was chosen
    if (name === "NotAllowedError" || name === "SecurityError") throw new CallError("microphone-refused");
    if (name === "NotFoundError" || name === "OverconstrainedError") throw new CallError("microphone-missing");
    throw new CallError("microphone-busy");
  }
}

/** How loud a stream is. */
export class Meter {
  /** @type {AudioContext|undefined} */
  static #context;
  #source;
  #analyser;
  #samples;

  /** @param {MediaStream} stream */
  constructor(stream) {
    const context = (Meter.#context ??= new AudioContext());
    if (context.state === "suspended") context.resume().catch(() => {});
    this.#source = context.createMediaStreamSource(stream);
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 2048;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source.connect(this.#analyser);
  }

  /** From 0 (-60 dB under full scale, or less) to 1 (-10 dB or more). */
  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let power = 0;
    for (const sample of this.#samples) power += sample * sample;
    const decibels = 10 * Math.log10(power / this.#samples.length + 1e-12);
    return Math.min(1, Math.max(0, (decibels + 60) / 50));
  }

  close() {
    this.#source.disconnect();
  }
}

/**
 * One call. Events, each a CustomEvent with what it tells in `detail`: `state` (StateChange), `words` (Words),
 * `response` (Response), `level` (Level), `statistics` (Statistics), `held` ({held}), `microphone` (Microphone),
 * `problem` ({code, text}), `ended` (Ended). Each can be an option as well: `onState`, `onWords` and so on.
 */
export class OffhookCall extends EventTarget {
  #options;
  #home;
  /** @type {State} */ #state = "idle";
  /** @type {RTCPeerConnection|undefined} */ #peer;
  /** @type {RTCRtpSender|undefined} */ #sender;
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {MediaStream|undefined} */ #voice;
  /** @type {MediaStream|undefined} */ #heard;
  /** @type {HTMLAudioElement|undefined} */ #audio;
  /** @type {Meter|undefined} */ #voiceMeter;
  /** @type {Meter|undefined} */ #heardMeter;
  /** @type {{resolve: (sdp: string) => void, reject: (error: Error) => void}|null} */ #answer = null;
  /** @type {{resolve: () => void, reject: (error: Error) => void}|null} */ #accepted = null;
  #id = "";
  #token = "";
  #offered = false;
  #muted = false;
  #held = false;
  #recovering = false;
  /** The server said that packets come without a pause, whatever there is to hear. */ #steady = false;
  /** They stopped. */ #deaf = false;
  #received = { packets: 0, at: 0, unchanged: 0 };
  #sound = new EventTarget();
  #connectedAt = 0;
  #endedAt = 0;
  /** @type {Record<string, number>} */ #counted = {};
  #leaving = new AbortController();
  /** @type {ReturnType<typeof setInterval>[]} */ #clocks = [];

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#home = home(options.server);
    for (const name of ["State", "Words", "Response", "Level", "Statistics", "Held", "Microphone", "Problem", "Ended"]) {
      const told = /** @type {any} */ (options)[`on${name}`];
      if (told) this.addEventListener(name.toLowerCase(), (event) => told(/** @type {CustomEvent} */ (event).detail));
    }
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The server's name for this call, as in its records; empty before it rings. */
  get id() {
    return this.#id;
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = Boolean(muted);
    for (const track of this.#voice?.getAudioTracks() ?? []) track.enabled = !this.#muted;
  }

  /** The server keeps this call waiting. */
  get held() {
    return this.#held;
  }

  /** How long sound has flowed, in seconds. */
  get seconds() {
    return this.#connectedAt ? ((this.#endedAt || performance.now()) - this.#connectedAt) / 1000 : 0;
  }

  /** Whether sound flows at this moment. */
  get audible() {
    return !this.#deaf && ["connected", "completed"].includes(this.#peer?.iceConnectionState ?? "");
  }

  /**
   * Asks for the microphone and calls; done when the server has taken the call.
   * @throws {CallError} and the call has ended
   */
  async start() {
    if (this.#state !== "idle") throw new Error("a call is started once");
    try {
      this.#enter("preparing");
      await this.#prepare();
      this.#enter("calling");
      await this.#dial();
      const accepted = new Promise((resolve, reject) => {
        this.#accepted = { resolve: () => resolve(undefined), reject };
      });
      this.#place();
      await accepted;
    } catch (error) {
      const said = error instanceof CallError ? error : new CallError("unreachable");
      this.#finish(said.code, said.message, said);
      throw said;
    }
  }

  hangUp() {
    this.#finish("hangup", "You ended the call.");
  }

  /**
   * Presses keys of the telephone.
   * @param {string} digits  of 0-9, *, #, A-D
   */
  press(digits) {
    if (!/^[0-9*#A-D]+$/.test(digits)) throw new Error(`these are not keys of a telephone: ${digits}`);
    const tones = this.#sender?.dtmf;
    if (tones?.canInsertDTMF) tones.insertDTMF(tones.toneBuffer + digits, TONE_MS, TONE_GAP_MS);
    else this.#send({ type: "keys", digits });
  }

  /**
   * Goes on with another microphone.
   * @param {string} [id]
   * @throws {CallError} and the one before stays in use
   */
  async useMicrophone(id) {
    const voice = await openMicrophone(id);
    if (this.#state === "ended" || !this.#sender) return silence(voice);
    await this.#sender.replaceTrack(voice.getAudioTracks()[0]);
    silence(this.#voice);
    this.#takeVoice(voice);
  }

  /** @returns {Promise<Statistics>} */
  async statistics() {
    /** @type {any[]} */
    const reports = [];
    if (this.#peer) (await this.#peer.getStats()).forEach((report) => reports.push(report));
    const named = (/** @type {string|undefined} */ id) => reports.find((report) => report.id === id);
    const inbound = reports.find((report) => report.type === "inbound-rtp" && report.kind === "audio") ?? {};
    const told = reports.find((report) => report.type === "remote-inbound-rtp" && report.kind === "audio") ?? {};
    const transport = reports.find((report) => report.type === "transport");
    const pair = named(transport?.selectedCandidatePairId) ?? reports.find((report) => report.type === "candidate-pair" && report.nominated);
    const trip = pair?.currentRoundTripTime ?? told.roundTripTime;
    const since = (/** @type {string} */ name) => (inbound[name] ?? 0) - (this.#counted[name] ?? 0);
    const share = (/** @type {number} */ part, /** @type {number} */ whole) => (whole > 0 ? (100 * Math.max(0, part)) / whole : null);
    const played = since("jitterBufferEmittedCount");
    const statistics = {
      roundTripMs: trip === undefined ? null : 1000 * trip,
      jitterBufferMs: played > 0 ? (1000 * since("jitterBufferDelay")) / played : null,
      lossPercent: share(since("packetsLost"), since("packetsLost") + since("packetsReceived")),
      sentLossPercent: told.fractionLost === undefined ? null : 100 * told.fractionLost,
      concealedPercent: share(since("concealedSamples") - since("silentConcealedSamples"), since("totalSamplesReceived")),
      codec: named(inbound.codecId)?.mimeType?.split("/")[1]?.toLowerCase() ?? null,
      route: named(pair?.localCandidateId)?.candidateType ?? null,
    };
    this.#counted = inbound;
    return statistics;
  }

  // Before the call ---------------------------------------------------------------------------------------------------

  async #prepare() {
    if (!window.RTCPeerConnection || !window.WebSocket) throw new CallError("unsupported");
    const given = this.#options.microphone;
    // Asked for side by side, so that a caller who allows the microphone waits for nothing more.
    const [voice, { iceServers }] = await Promise.all([
      given instanceof MediaStream ? given.clone() : openMicrophone(given),
      configuration(this.#home),
    ]);
    if (this.#state === "ended") {
      silence(voice);
      throw new CallError("hangup", "You ended the call.");
    }
    this.#takeVoice(voice);
    const peer = new RTCPeerConnection({
      iceServers,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
      iceTransportPolicy: this.#options.relay ? "relay" : "all",
    });
    this.#peer = peer;
    this.#sender = peer.addTransceiver(voice.getAudioTracks()[0], { direction: "sendrecv", streams: [voice] }).sender;
    peer.ontrack = ({ track, streams }) => this.#play(streams[0] ?? new MediaStream([track]));
    peer.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate && this.#offered) this.#send({ type: "candidate", candidate: candidate.candidate });
    };
    peer.oniceconnectionstatechange = () => {
      if (peer.iceConnectionState === "disconnected") setTimeout(() => this.#look(), GRACE_MS);
      else this.#look();
    };
    // The server waits for a page that has lost its line; one that is gone has to say so.
    window.addEventListener("pagehide", () => this.hangUp(), { signal: this.#leaving.signal });
    this.#clocks = [
      setInterval(() => this.#tell("level", { you: this.#muted ? 0 : (this.#voiceMeter?.level() ?? 0), agent: this.#heardMeter?.level() ?? 0 }), LEVEL_MS),
      setInterval(() => this.#listen(), LISTEN_MS),
      setInterval(() => this.#state === "connected" && this.statistics().then((seen) => this.#tell("statistics", seen)), STATISTICS_MS),
    ];
  }

  /** Offers the call, and sees it through to the first sound. */
  async #place() {
    const { to, from } = this.#options;
    try {
      await this.#negotiate({ type: "call", to, ...(from ? { from } : {}) }, RING_MS);
    } catch {
      // With a token, the line was lost while it rang, and is being mended; otherwise there is no call to mend.
      if (!this.#token) this.#refuse(new CallError("unreachable"));
      else if (this.#socket) this.#refuse(new CallError("unanswered"));
      return;
    }
    if (!(await this.#settled(FIRST_SOUND_MS)) && !this.#connectedAt && !this.#recovering) this.#refuse(new CallError("no-sound"));
  }

  /** @param {CallError} error */
  #refuse(error) {
    this.#accepted?.reject(error);
    this.#finish(error.code, error.message, error);
  }

  // Sound -------------------------------------------------------------------------------------------------------------

  /** @param {MediaStream} voice */
  #takeVoice(voice) {
    const [track] = voice.getAudioTracks();
    track.enabled = !this.#muted;
    // Unplugged: any other is better than silence.
    track.onended = () => {
      this.useMicrophone().catch((/** @type {CallError} */ { code, message }) => this.#tell("problem", { code, text: message }));
    };
    this.#voice = voice;
    this.#voiceMeter?.close();
    this.#voiceMeter = new Meter(voice);
    this.#tell("microphone", { id: track.getSettings().deviceId ?? "", label: track.label });
  }

  /** @param {MediaStream} heard */
  #play(heard) {
    this.#heard = heard;
    this.#audio = this.#options.audio ?? new Audio();
    this.#audio.srcObject = heard;
    const play = () => /** @type {HTMLAudioElement} */ (this.#audio).play();
    play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      // The browser plays no sound before the page was touched.
      this.#tell("problem", { code: "silenced", text: "The browser keeps this page silent. Press any key or touch the page to hear the call." });
      const once = { once: true, signal: this.#leaving.signal };
      for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, () => void play().catch(() => {}), once);
    });
    this.#heardMeter?.close();
    this.#heardMeter = new Meter(heard);
  }

  // Signalling --------------------------------------------------------------------------------------------------------

  /** Opens a socket to the server. */
  #dial() {
    return new Promise((/** @type {(opened: void) => void} */ resolve, reject) => {
      const url = new URL("ws", this.#home);
      url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
      const socket = new WebSocket(url);
      const late = setTimeout(() => socket.close(), OPEN_MS);
      socket.onopen = () => {
        clearTimeout(late);
        if (this.#state === "ended") return socket.close();
        this.#socket = socket;
        resolve();
      };
      socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(data);
      socket.onclose = () => {
        clearTimeout(late);
        reject(new CallError("unreachable"));
        if (socket === this.#socket) this.#drop();
      };
    });
  }

  /** The socket is gone, or answers no more. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#answer?.reject(new Error("the socket closed"));
    this.#answer = null;
    this.#look();
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /**
   * Sends an offer and takes the answer to it. One at a time: the answers carry no number.
   * @param {{type: "call"|"restart"|"resume", [more: string]: string}} message
   * @param {number} limitMs
   */
  async #negotiate(message, limitMs) {
    const peer = /** @type {RTCPeerConnection} */ (this.#peer);
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: message.type !== "call" }));
    const sdp = await new Promise((/** @type {(sdp: string) => void} */ resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no answer")), limitMs);
      const done = () => clearTimeout(late);
      this.#answer = { resolve: (sdp) => (done(), resolve(sdp)), reject: (error) => (done(), reject(error)) };
      if (!this.#socket) this.#answer.reject(new Error("the socket closed"));
      this.#send({ ...message, sdp: peer.localDescription?.sdp });
      this.#offered = true;
    });
    this.#answer = null;
    if (this.#state !== "ended") await peer.setRemoteDescription({ type: "answer", sdp });
  }

  /** @param {string} text */
  #hear(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    switch (message?.type) {
      case "ringing":
        this.#id = message.call;
        this.#token = message.token;
        this.#accepted?.resolve();
        if (this.#state === "calling") this.#enter("ringing");
        break;
      case "answer":
        this.#steady = message.steady === true;
        this.#answer?.resolve(message.sdp);
        break;
      case "words":
        this.#tell("words", { who: message.who, text: message.text, turn: message.turn, final: message.final === true });
        break;
      case "response":
        this.#tell("response", { turn: message.turn, ms: message.ms });
        break;
      case "held":
      case "resumed":
        this.#held = message.type === "held";
        this.#tell("held", { held: this.#held });
        break;
      case "ended":
        this.#accepted?.reject(new CallError("refused", farewell(message.why)));
        this.#finish(String(message.why ?? ""), farewell(message.why));
        break;
      case "error":
        if (this.#state === "connected") this.#tell("problem", { code: "server", text: String(message.text) });
        else if (this.#connectedAt) this.#refuse(new CallError("lost")); // it waited for this page no longer
        else this.#refuse(new CallError("refused", String(message.text ?? "")));
        break;
    }
  }

  // A lost line -------------------------------------------------------------------------------------------------------

  /** Looks at what there is of the line, and says or mends what changed. */
  #look() {
    if (this.#state === "ended" || !this.#token) return;
    if (this.#whole()) {
      this.#connectedAt ||= performance.now();
      this.#enter("connected");
    } else if (this.#connectedAt || !this.#socket) {
      this.#enter("reconnecting");
      this.#recover();
    }
  }

  /** Looks whether packets still come. */
  async #listen() {
    const [receiver] = this.#peer?.getReceivers() ?? [];
    if (!this.#steady || !receiver || this.#over()) return this.#hears();
    let packets = 0;
    (await receiver.getStats()).forEach((report) => {
      if (report.type === "inbound-rtp") packets += report.packetsReceived ?? 0;
    });
    const now = performance.now();
    const before = this.#received;
    if (packets !== before.packets) {
      this.#received = { packets, at: now, unchanged: 0 };
      this.#hears();
    } else if (packets > 0 && ++before.unchanged * LISTEN_MS >= DEAF_MS && now - before.at >= DEAF_MS && !this.#deaf) {
      // Not by the clock alone: the page may have been asleep.
      this.#deaf = true;
      this.#look();
    }
  }

  #hears() {
    if (!this.#deaf) return;
    this.#deaf = false;
    this.#sound.dispatchEvent(new Event("back"));
    this.#look();
  }

  #whole() {
    return this.#socket !== null && this.#answer === null && this.audible;
  }

  /** Takes the call up again, by the same socket or a new one, on whatever network there is now, until it is whole. */
  async #recover() {
    if (this.#recovering) return;
    this.#recovering = true;
    const giveUpAt = performance.now() + (this.#options.patienceMs ?? PATIENCE_MS);
    for (let tried = 0; !this.#over() && !this.#whole(); tried++) {
      // Many pages lose the same server at once: they do not come back at once.
      await this.#pause(tried ? Math.min(4_000, 250 * 2 ** tried) * (0.75 + Math.random() / 2) : 150 * Math.random());
      if (this.#over() || this.#whole()) break;
      if (performance.now() > giveUpAt) {
        this.#refuse(new CallError("lost"));
        break;
      }
      try {
        if (this.#socket) {
          await this.#negotiate({ type: "restart" }, RESTART_MS);
        } else {
          await this.#dial();
          // A call that still rings is answered when somebody answers it.
          const limitMs = this.#connectedAt ? ANSWER_MS : RING_MS;
          await this.#negotiate({ type: "resume", call: this.#id, token: this.#token }, limitMs);
        }
        await this.#settled(SETTLE_MS);
      } catch {
        // A socket that does not answer is as good as closed.
        this.#drop();
      }
    }
    this.#recovering = false;
    this.#look();
  }

  #over() {
    return this.#state === "ended";
  }

  /**
   * Waits until sound flows, for a while.
   * @param {number} limitMs
   * @returns {Promise<boolean>}
   */
  #settled(limitMs) {
    return this.#until((done) => {
      const peer = /** @type {RTCPeerConnection} */ (this.#peer);
      const look = () => this.audible && done();
      peer.addEventListener("iceconnectionstatechange", look);
      this.#sound.addEventListener("back", look);
      look();
      return () => {
        peer.removeEventListener("iceconnectionstatechange", look);
        this.#sound.removeEventListener("back", look);
      };
    }, limitMs);
  }

  /**
   * Waits, but not longer than it takes for the network to come back.
   * @param {number} ms
   */
  #pause(ms) {
    return this.#until((done) => {
      window.addEventListener("online", done);
      return () => window.removeEventListener("online", done);
    }, ms);
  }

  /**
   * @param {(done: () => void) => () => void} watch  calls `done` when what is waited for is there; gives what unwatches
   * @param {number} limitMs
   * @returns {Promise<boolean>} whether it came before the limit and the end of the call
   */
  #until(watch, limitMs) {
    return new Promise((resolve) => {
      const end = (/** @type {boolean} */ came) => {
        clearTimeout(late);
        this.#leaving.signal.removeEventListener("abort", over);
        // `watch` may be done before it has returned.
        queueMicrotask(() => unwatch());
        resolve(came);
      };
      const over = () => end(false);
      const late = setTimeout(over, limitMs);
      this.#leaving.signal.addEventListener("abort", over);
      const unwatch = watch(() => end(true));
    });
  }

  // Telling -----------------------------------------------------------------------------------------------------------

  /** @param {string} name @param {object} detail */
  #tell(name, detail) {
    if (this.#state !== "ended" || name === "state" || name === "ended") this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {State} state */
  #enter(state) {
    const before = this.#state;
    if (before === state || before === "ended") return;
    this.#state = state;
    this.#tell("state", { state, before, audible: this.audible });
  }

  /** @param {string} why @param {string} text @param {CallError|null} [error] */
  #finish(why, text, error = null) {
    if (this.#state === "ended") return;
    this.#endedAt = performance.now();
    this.#send({ type: "hangup" });
    this.#enter("ended");
    this.#accepted?.reject(error ?? new CallError(why, text));
    this.#leaving.abort();
    for (const clock of this.#clocks) clearInterval(clock);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#answer?.reject(new Error("the call ended"));
    this.#peer?.close();
    silence(this.#voice);
    if (this.#audio) this.#audio.srcObject = null;
    this.#voiceMeter?.close();
    this.#heardMeter?.close();
    this.#tell("ended", { why, text, seconds: this.seconds, error });
  }
}

/** @param {MediaStream|undefined} stream */
function silence(stream) {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
}

/**
 * The folder of the server's call page.
 * @param {string|URL} [server]
 */
function home(server) {
  return server === undefined ? new URL(".", import.meta.url) : new URL("call/", new URL(server, location.href).href.replace(/\/*$/, "/"));
}

/**
 * @param {URL} home
 * @returns {Promise<{iceServers: RTCIceServer[], to: string[]}>}
 */
async function configuration(home) {
  try {
    const answer = await fetch(new URL("config", home), { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const { iceServers = [], to = [] } = await answer.json();
    return { iceServers, to };
  } catch {
    throw new CallError("unreachable");
  }
}

/**
 * What a caller is told at the end: the server's sentence, or one for its word.
 * @param {unknown} why
 */
function farewell(why) {
  const said = String(why ?? "").trim();
  if (/busy/i.test(said)) return "All lines are busy. Please call again in a while.";
  if (/no.?answer|unanswered/i.test(said)) return SENTENCES.unanswered;
  if (/unavailable|declined|refused|not taken/i.test(said)) return SENTENCES.refused;
  if (/\s/.test(said) && /[.!?]$/.test(said)) return said;
  return "The call has ended.";
}
