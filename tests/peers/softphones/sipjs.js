import { SimpleUser } from "sip.js/lib/platform/web";
import { audio, heard, listen, told } from "./ear.js";

let user;

window.softphone = {
  told,
  heard,
  async register({ ws, address, password }) {
    const name = address.match(/^sip:(.*)@/)[1];
    user = new SimpleUser(ws, {
      aor: address,
      media: { constraints: { audio: true, video: false }, remote: { audio } },
      userAgentOptions: { authorizationUsername: name, authorizationPassword: password },
    });
    user.delegate = {
      onRegistered: () => (told.registered = true),
      onCallReceived: () => (told.incoming += 1),
      onCallAnswered: () => {
        told.connected = true;
        listen(audio.srcObject);
      },
      onCallHangup: () => (told.ended = "hung up"),
    };
    await user.connect();
    await user.register();
  },
  call: (address) => user.call(address),
  answer: () => user.answer(),
  hold: () => user.hold(),
  resume: () => user.unhold(),
  press: (key, how) => (how === "rtp" ? user.session.sessionDescriptionHandler.sendDtmf(key) : user.sendDTMF(key)),
  hangUp: () => user.hangup(),
};
