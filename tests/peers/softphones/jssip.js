import JsSIP from "jssip";
import { heard, listen, told, watch } from "./ear.js";

const media = { mediaConstraints: { audio: true, video: false } };
let agent;
let session;

function take(one) {
  session = one;
  const hear = (connection) => {
    watch(connection);
    connection.addEventListener("track", ({ streams }) => listen(streams[0]));
  };
  if (one.connection) hear(one.connection);
  else one.on("peerconnection", ({ peerconnection }) => hear(peerconnection));
  // It offers and answers once all candidates are known, which may take Chromium long, or for ever where an interface
  // went meanwhile. A server with ICE-lite learns the address from the checks.
  one.on("icecandidate", ({ ready }) => ready());
  one.on("confirmed", () => (told.connected = true));
  for (const over of ["ended", "failed"]) one.on(over, ({ originator, cause }) => (told.ended = `${originator}: ${cause}`));
}

window.softphone = {
  told,
  heard,
  register({ ws, address, password }) {
    agent = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(ws)], uri: address, password, register_expires: 60 });
    agent.on("registered", () => (told.registered = true));
    agent.on("registrationFailed", ({ cause }) => (told.ended = cause));
    agent.on("newRTCSession", ({ originator, session: one }) => {
      if (originator !== "remote") return;
      take(one);
      told.incoming += 1;
    });
    agent.start();
  },
  call: (address) => take(agent.call(address, media)),
  answer: () => session.answer(media),
  hold: () => new Promise((held) => session.hold({}, held)),
  resume: () => new Promise((resumed) => session.unhold({}, resumed)),
  restart: () =>
    new Promise((done, failed) => {
      if (!session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, done)) failed(new Error("not now"));
    }),
  reconnect() {
    told.registered = false;
    agent.transport.disconnect();
    agent.transport.connect();
  },
  press: (key, how) => session.sendDTMF(key, { transportType: how === "rtp" ? "RFC2833" : "INFO" }),
  hangUp: () => session.terminate(),
};
