import { SimpleUser } from "sip.js/lib/platform/web";
import { audio, heard, listen, told, watch } from "./ear.js";

let user;
let settled = () => {};

/** Asks for a hold or its end, and waits until the other side has agreed: one re-INVITE at a time. */
const change = (ask) => new Promise((resolve, reject) => ((settled = resolve), ask().catch(reject)));

window.softphone = {
  told,
  heard,
  async register({ ws, address, password }) {
    const name = address.match(/^sip:(.*)@/)[1];
    user = new SimpleUser(ws, {
      aor: address,
      media: { constraints: { audio: true, video: false }, remote: { audio } },
      userAgentOptions: {
        authorizationUsername: name,
        authorizationPassword: password,
        // It offers and answers once all candidates are known, or so many ms have passed. A server with ICE-lite learns
        // the address from the checks.
        sessionDescriptionHandlerFactoryOptions: { iceGatheringTimeout: 500 },
      },
    });
    user.delegate = {
      onRegistered: () => (told.registered = true),
      onCallReceived: () => (told.incoming += 1),
      onCallAnswered: () => {
        told.connected = true;
        listen(audio.srcObject);
        watch(user.session.sessionDescriptionHandler.peerConnection);
      },
      onCallHold: (held) => settled(held),
      onCallHangup: () => (told.ended = "hung up"),
    };
    await user.connect();
    await user.register();
  },
  call: (address) => user.call(address),
  answer: () => user.answer(),
  hold: () => change(() => user.hold()),
  resume: () => change(() => user.unhold()),
  restart: () =>
    new Promise((resolve, reject) =>
      user.session
        .invite({
          sessionDescriptionHandlerOptions: { offerOptions: { iceRestart: true } },
          requestDelegate: { onAccept: resolve, onReject: reject },
        })
        .catch(reject),
    ),
  press: (key, how) => (how === "rtp" ? user.session.sessionDescriptionHandler.sendDtmf(key) : user.sendDTMF(key)),
  hangUp: () => user.hangup(),
};
