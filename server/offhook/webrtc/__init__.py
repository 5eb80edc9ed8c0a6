"""Browser calls, as far as they are not SIP's or the media's: ICE-lite and DTLS as state machines that know no socket.

    ice = IceLite(remote=Credentials(ufrag, password))
    dtls = Dtls(identity, told=(Fingerprint("sha-256", "4A:AD:..."),))

The media core's port owns the socket and hands STUN and DTLS datagrams up; `calls.secureline` joins the three.
"""

from offhook.webrtc.certificate import Certificate, Fingerprint
from offhook.webrtc.dtls import Dtls, DtlsIdentity, SrtpKeys
from offhook.webrtc.ice import Credentials, IceLite

__all__ = ["Certificate", "Credentials", "Dtls", "DtlsIdentity", "Fingerprint", "IceLite", "SrtpKeys"]
