import JsSIP from "jssip";
import { heard, listen, told } from "./ear.js";

const media = { mediaConstraints: { audio: true, video: false } };
let agent;
let session;

/** JsSIP offers once all candidates are known, and Chromium may never be done with that, as where an interface goes
 *  meanwhile. A server with ICE-lite needs none of them. */
function hurry(connection) {
  const enough = () => connection.dispatchEvent(new RTCPeerConnectionIceEvent("icecandidate", { candidate: null }));
  connection.addEventListener("icegatheringstatechange", () => {
    if (connection.iceGatheringState === "gathering") setTimeout(enough, 1000);
  });
}

function take(one) {
  session = one;
  const hear = (connection) => {
    hurry(connection);
    connection.addEventListener("track", ({ streams }) => listen(streams[0]));
  };
  if (one.connection) hear(one.connection);
  else one.on("peerconnection", ({ peerconnection }) => hear(peerconnection));
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
  press: (key, how) => session.sendDTMF(key, { transportType: how === "rtp" ? "RFC2833" : "INFO" }),
  hangUp: () => session.terminate(),
};
