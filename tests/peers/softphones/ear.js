// What a softphone's page hears, and the one set of words that tests drive every softphone with: `window.softphone`.

export const told = { registered: false, incoming: 0, connected: false, ended: "", pair: {} };

const audio = document.createElement("audio");
audio.autoplay = true;

let analyser;

/** Plays a stream, and listens to it. */
export function listen(stream) {
  audio.srcObject = stream;
  const context = new AudioContext({ sampleRate: 16000 });
  analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(stream).connect(analyser);
  analyser.connect(context.destination);
}

/** Keeps `told.pair`: the ICE credentials of this side that audio flows by, those it has described last, and its address. */
export function watch(connection) {
  const look = async () => {
    const all = await connection.getStats();
    const by = (kind) => [...all.values()].find((one) => one.type === kind);
    const mine = all.get(all.get(by("transport")?.selectedCandidatePairId)?.localCandidateId);
    const described = connection.localDescription?.sdp.match(/^a=ice-ufrag:(.*)$/m)?.[1].trim();
    told.pair = { used: mine?.usernameFragment, described, address: mine && `${mine.address}:${mine.port}` };
  };
  const clock = setInterval(() => (connection.signalingState === "closed" ? clearInterval(clock) : look()), 100);
}

/** The strongest pitch of the last quarter second in Hz, and how loud it was (RMS, of 1). */
export function heard() {
  if (!analyser) return { hz: 0, rms: 0 };
  const bins = new Float32Array(analyser.frequencyBinCount);
  const wave = new Float32Array(analyser.fftSize);
  analyser.getFloatFrequencyData(bins);
  analyser.getFloatTimeDomainData(wave);
  const loudest = bins.reduce((best, level, at) => (level > bins[best] ? at : best), 0);
  return { hz: (loudest * 16000) / 4096, rms: Math.hypot(...wave) / Math.sqrt(wave.length) };
}

export { audio };
