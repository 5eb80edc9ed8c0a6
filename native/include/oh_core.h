/*
 * oh_core.h - the media core: one thread that moves all ports' packets, one that writes their tracks.
 *
 * A machine with many cores runs several of these, which share nothing. Ports that are to hear each other belong to one.
 *
 * A port is a leg's end: a UDP socket for RTP and one for RTCP, a listening path, a playing path, counters. The
 * media thread owns every port; each function below that names a port is one command to that thread, carried out
 * between two packets, and waits for its answer (microseconds, at most OH_ANSWER_MS). All functions may be called
 * from any thread. Audio enters and leaves through sockets, shared-memory rings (oh_slots.h), prompts and tracks.
 *
 * The media clock of a port counts 8 kHz samples since the port opened, on CLOCK_MONOTONIC. It is the clock of
 * everything a port reports and of both its tracks. Its audio runs at its codec's rate, 8 or 16 kHz (oh_codec.h), and is
 * resampled only where something of the other rate meets it: a slot (always 16 kHz), a room, a track.
 *
 *   Listening path: socket -> latch -> oh_listen (decodes) -> slot's listen ring, caller track
 *   Bridge path:    socket -> latch -> oh_playout (decodes) -> room's mix -> all others in the room
 *   Playing path:   digits, else prompt, else room's mix, else slot's play ring, else comfort noise -> socket
 *
 * One packet leaves a sending port at each of its times on the absolute clock, whatever there is to say (with `dtx`, and
 * Opus, next to none while there is nothing); RTP timestamps are the media clock, in the codec's ticks, plus a random
 * offset, so they go on across holds. They also go on from where they were when the codec changes to one of another
 * clock; the SSRC stays, for most telephones take another one for another party (RFC 7160 would have it changed).
 *
 * When signalling changes the codec, what leaves is coded anew at once; what comes is decoded as before until the first
 * packet of the new payload type. Neither clicks.
 *
 * Where a packet lies on the tracks: what comes in ends where it arrived (its last sample was said just then), what
 * goes out begins where it left. A caller packet is placed by its RTP timestamp from there on; that mapping is made
 * anew when the stream restarts and when it has moved against the media clock by more than 60 ms.
 *
 * Whose packets are taken: the first that comes from the signalled IP address, whatever its port; or, for as long as
 * that address is silent, another one after OH_LATCH_PACKETS packets in sequence of one SSRC and a negotiated payload
 * type. From then on only that IP address, port and SSRC, until signalling speaks anew (oh_port_remote), but for these:
 *   - the signalled IP address takes over at once from another one, its signalled port after 2 packets in sequence;
 *   - another SSRC of the same IP address and port takes over after 2 packets in sequence; if they are telephone-event
 *     it does not take over, and its digits count;
 *   - the same SSRC from another port of the IP address takes over after 2 in sequence once the latched port has been
 *     silent for 100 ms, another SSRC after OH_LATCH_PACKETS once it has been silent for a second.
 * Of what is taken, more than 400 packets or 20 presses of keys a second (and a burst of 400 or 64) is dropped as bad;
 * of RTCP, more than 50 packets a second (and a burst of 100), unread.
 *
 * Encrypted (oh_remote.secure): nothing plain is taken or sent, and nothing at all before there are keys. What is not
 * authentic is counted and changes nothing: it is not even a candidate for the above. Reports are SRTCP.
 *
 * ICE (oh_port_ice): media and DTLS are taken only from, and sent only to, the address that oh_port_select names, and
 * where none is named from nobody; nothing is latched. STUN from anywhere and DTLS from there, or from anywhere while none is
 * named, are handed up (oh_core_datagrams) for those who know these protocols, who answer with oh_port_post. RTCP is on the RTP port.
 *
 * Functions return 0 or a negative errno; -ENOENT where the port is not (or no longer) open, -ETIMEDOUT where the
 * media thread did not answer, -ESHUTDOWN once the core stops.
 */
#ifndef OH_CORE_H
#define OH_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_codec.h"
#include "oh_srtp.h"

#define OH_ANSWER_MS     2000u /* the longest a caller of this API waits for the media thread */
#define OH_LATCH_PACKETS 4u    /* packets in sequence before an address that was not signalled is believed */
#define OH_MAX_PORTS     16384u
#define OH_MAX_SEGMENTS  64u
#define OH_EVENT_TEXT    96u
#define OH_DATAGRAM_MAX  1500u /* bytes of a datagram that is handed up or posted */

struct oh_core;

struct oh_core_config {
	const char *address;   /* IPv4 address to listen on */
	uint16_t    port_low;  /* lowest UDP port to use */
	uint16_t    port_high; /* highest */
	uint32_t    first;     /* number of the first port and of the first room; 0 is 1 */
	uint32_t    step;      /* from each number to the next, so that several cores share none; 0 is 1 */
	uint32_t    blocks;    /* of 8 KiB for recordings, a power of two, touched as they are needed: one for each track
	                        * that sounds, and what waits for the disk; 0 is 16384 */
};

enum oh_event_kind {
	OH_EVENT_DIGIT = 1,      /* a: character, b: duration in 8 kHz samples */
	OH_EVENT_DIGITS_SENT,    /* or can be sent no more, because signalling withdrew them */
	OH_EVENT_PROMPT_DONE,    /* a: play, b: played 8 kHz samples, c: 1 where whole */
	OH_EVENT_TALK,           /* a: 1 began, 0 ended; b: the slot's `played` cursor there */
	OH_EVENT_MEDIA_STARTED,  /* text: IP address, a: port */
	OH_EVENT_MEDIA_LOST,     /* no packet for 1 s; for 10 s after comfort noise, or where none ever came */
	OH_EVENT_MEDIA_BACK,     /* after MEDIA_LOST, from the same address */
	OH_EVENT_RECORD_FAILED,  /* text: why */
	OH_EVENT_RECORD_RESUMED, /* after RECORD_FAILED: both tracks can be written again */
	OH_EVENT_RECORD_CLOSED,  /* both files are whole and closed */
	OH_EVENT_QUALITY         /* a: ms; quality: how these last ms were heard. Every OH_QUALITY_MS, where anything was */
};

#define OH_QUALITY_MS      5000u
#define OH_QUALITY_UNKNOWN (-1.0f) /* of the figures below: not known */

struct oh_quality_side {     /* one direction */
	float    r;             /* transmission rating (G.107), 0..100: with the delay where that is known */
	float    mos_lq;        /* listening quality, 1..4.5 */
	float    mos_cq;        /* conversational quality, 1..4.5: known where the round trip is */
	float    lost;          /* 0..1 of the packets never came */
	float    discarded;     /* 0..1 came too late */
	float    burst_density; /* 0..1 of the packets in bursts (oh_voip.h) were lost or discarded */
	float    burst_ms;      /* mean length of bursts; 0: none */
	float    jitter_ms;     /* RFC 3550 6.4.1 */
	float    said_mos_lq;   /* what the listener itself says it comes to (RFC 3611), since its beginning */
	float    said_mos_cq;
	uint32_t packets;       /* that this is about; 0: nothing is known, all else is unknown */
};

struct oh_quality {
	struct oh_quality_side heard;    /* what we hear of the far end */
	struct oh_quality_side reported; /* what it reports hearing of us. Of discarded packets and bursts RTCP XR alone
	                                  * tells, since its beginning; they are not in r and the MOS of this direction */
	float                  rtt_ms;
	float                  delay_ms; /* what a packet on time waits here before it is heard */
};

struct oh_event {
	uint32_t kind;  /* enum oh_event_kind */
	uint32_t port;  /* number of the port */
	int64_t  clock; /* the port's media clock */
	int64_t  a;
	int64_t  b;
	int64_t  c;
	union {
		char              text[OH_EVENT_TEXT]; /* ends with 0 */
		struct oh_quality quality;
	};
};

struct oh_core_counters {
	uint64_t ports;          /* open now */
	uint64_t packets_in;
	uint64_t packets_out;
	double   pacing_p50_us;  /* send time after its due time: upper bound of the histogram's bucket */
	double   pacing_p99_us;
	double   pacing_max_us;
	uint64_t ticks_overrun;  /* ticks more than 60 ms late: clock moved on, nothing sent */
	uint64_t kernel_drops;   /* SO_RXQ_OVFL, all sockets */
	uint64_t disk_drops;     /* pieces of tracks, some 20 ms each, that the disk was too slow for */
	uint64_t events_dropped; /* events that found their ring full */
	uint64_t amiss;          /* faults of this program that were mended, of the whole process (oh_amiss.h) */
	const char *amiss_where; /* the last of them, "" for none; lives for ever */
};

struct oh_port_counters {
	uint64_t packets_in;
	uint64_t bytes_in;
	uint64_t packets_out;
	uint64_t bytes_out;
	uint64_t late;
	uint64_t lost;
	uint64_t duplicate;
	uint64_t reordered;
	uint64_t concealed;      /* 8 kHz samples */
	uint64_t missing;        /* 8 kHz samples */
	uint64_t bad;
	uint64_t wrong_source;
	uint64_t wrong_ssrc;
	uint64_t send_errors;
	double   jitter_ms;
	double   rtt_ms;
	double   remote_lost;    /* 0..1 */
	uint64_t record_dropped; /* 8 kHz samples of tracks dropped because the disk was too slow */
	uint64_t unauthentic;    /* SRTP and SRTCP that was not sealed with the key, or plain where that is not allowed */
	uint64_t replayed;       /* SRTP and SRTCP that was seen before, or is too old to tell */
	uint64_t handed_up;      /* STUN and DTLS datagrams */
	uint64_t handed_up_dropped; /* likewise, but too many, or nobody took them */
	uint64_t rtcp_in;        /* RTCP packets read */
	uint64_t rtcp_dropped;   /* and those dropped unread, of a flood */
	double   mos_lq;         /* of what was heard since the port opened; 0: nothing was */
	double   mos_cq;         /* likewise; 0: or no round trip is known */
	uint64_t waited_ns;      /* sum over the packets of the time each waited behind a gap on the listening path */
	uint64_t bridged;        /* 8 kHz samples given to others of a room through the playout buffer ... */
	uint64_t bridged_heard;  /* ... of these: from packets, ... */
	uint64_t bridged_concealed; /* ... and made up for packets that were not there */
	uint64_t bridged_delay_us; /* sum over bridged_heard of the time from a packet's arrival until it was given out */
};

struct oh_remote {
	uint32_t      ip;             /* network byte order */
	uint16_t      rtp_port;       /* host byte order */
	uint16_t      rtcp_port;      /* host byte order; 0: none */
	enum oh_codec codec;
	uint8_t       audio_pt;       /* negotiated payload type of the codec */
	int16_t       digits_pt;      /* of telephone-event, -1: none */
	uint32_t      digits_rate_hz; /* its clock: 8000, or 48000 beside Opus */
	uint16_t      packet_ms;      /* of what we send: 10, 20, 30, 40, 60; Opus has no 30 */
	bool          send;
	bool          receive;
	bool          rtcp_mux;
	bool          dtx;            /* Opus: send next to nothing while nothing is said */
	bool          secure;         /* SRTP (RFC 3711) with the keys of oh_port_keys, and nothing else */
};

struct oh_datagram {                             /* not media: for ICE and DTLS */
	int64_t  arrived_ns;             /* CLOCK_MONOTONIC */
	uint32_t port;                   /* number of the port it came to */
	uint32_t ip;                     /* where it came from, network byte order */
	uint16_t from_port;              /* host byte order */
	uint16_t len;
	uint8_t  data[OH_DATAGRAM_MAX];
};

/*
 * Start the threads. `*core` is the caller's until oh_core_stop. -EINVAL where the address is no IPv4 address, else
 * what the system refused (-EMFILE, -EAGAIN, -EADDRNOTAVAIL ...).
 */
int oh_core_start(struct oh_core **core, const struct oh_core_config *config);

/* Close all ports, finish their tracks, end the threads, free everything. No other call may be under way. */
void oh_core_stop(struct oh_core *core);

/* A descriptor that is readable while events or datagrams wait. Owned by the core. */
int oh_core_event_fd(const struct oh_core *core);

/* Take up to `most` events, oldest first; returns how many. One thread at a time. */
size_t oh_core_events(struct oh_core *core, struct oh_event *out, size_t most);

/*
 * Take up to `most` datagrams of ports with ICE, oldest first; returns how many. One thread at a time. Who has such
 * ports must take them: until then the descriptor stays readable, and what comes beyond a thousand is dropped.
 */
size_t oh_core_datagrams(struct oh_core *core, struct oh_datagram *out, size_t most);

/* What has been counted since the start. */
int oh_core_counters(struct oh_core *core, struct oh_core_counters *out);

/*
 * Map the slots segment behind `fd` (which stays the caller's); `*segment` is its number. -EPROTO where magic, version
 * or size are not those of oh_slots.h, -EPERM where it may still shrink (memfd_create(2), F_SEAL_SHRINK), -ENOSPC
 * after OH_MAX_SEGMENTS.
 */
int oh_core_attach(struct oh_core *core, int fd, uint32_t *segment);

/* Keep a sound of `samples` at 8000 or 16000 Hz (else -EINVAL) under a number that no other has. */
int oh_prompt_load(struct oh_core *core, uint32_t prompt, const int16_t *pcm, size_t samples, uint32_t rate_hz);

/* Forget it; ports that play it play on. 0 also where it is not known. */
int oh_prompt_drop(struct oh_core *core, uint32_t prompt);

/*
 * Open a port: `*number` names it for ever, `*rtp_port` (even) is where it listens, `*opened_ns` is CLOCK_MONOTONIC at
 * media clock 0. -EADDRINUSE where no pair of UDP ports is free in the range, -ENOSPC after OH_MAX_PORTS.
 */
int oh_port_open(struct oh_core *core, uint32_t *number, uint16_t *rtp_port, int64_t *opened_ns);

/*
 * Say goodbye (RFC 3550 6.6), undo everything. The sockets swallow what still comes until nothing has come for three
 * seconds (thirty at most), so that no other call gets these UDP ports while somebody still sends there.
 */
int oh_port_close(struct oh_core *core, uint32_t port);

/*
 * Send there, take packets from there; forgets what was latched. -EINVAL where packet_ms or digits_rate_hz is none of
 * those; -ENOMEM: for an Opus encoder and decoder.
 */
int oh_port_remote(struct oh_core *core, uint32_t port, const struct oh_remote *remote);

/*
 * Keys for SRTP from now on (copied; wipe yours), or NULL: forget them. Keys that are the same as before, in either
 * direction, go on with their counters; with another receiving key what is still on its way with the one before is taken
 * (oh_srtp.h). The port's stream gets another SSRC where a new sending key would leave its roll-over counter in doubt. A
 * sending key that was replaced must not come back. -EINVAL: no such suite, -ENOMEM, -ENOTSUP.
 */
int oh_port_keys(struct oh_core *core, uint32_t port, const struct oh_srtp_keys *keys);

/*
 * Let ICE say whom this port talks to (true), or signalling again (false). From the first on, the port has no RTCP socket
 * of its own: without ICE it reports only where RTCP is multiplexed. 0 also where it is so already.
 */
int oh_port_ice(struct oh_core *core, uint32_t port, bool on);

/*
 * With ICE: send there and take from there, at once and with the same stream as before (and for a second media that was
 * on its way from the address before); rtp_port 0: to and from nobody.
 * -EINVAL: the port is without ICE.
 *   ip, rtp_port  network and host byte order
 */
int oh_port_select(struct oh_core *core, uint32_t port, uint32_t ip, uint16_t rtp_port);

/*
 * Send a datagram from the port's RTP socket, after what was asked before. Does not wait: like any datagram it may be
 * lost, as it is where the port is not open. -EMSGSIZE: over OH_DATAGRAM_MAX bytes or none; -EINVAL: no address;
 * -ENOBUFS: a thousand wait already, -ENOMEM.
 */
int oh_port_post(struct oh_core *core, uint32_t port, uint32_t ip, uint16_t rtp_port, const uint8_t *data, size_t len);

/*
 * Bind to a slot; `*epoch` is the new binding's. -ERANGE: no such segment or slot; -EBUSY: another port holds it;
 * -ENOSPC: the port is in a room that is full, where its slot would be heard by nobody. Refused, a binding stays as it was.
 */
int oh_port_bind(struct oh_core *core, uint32_t port, uint32_t segment, uint32_t slot, uint32_t *epoch);
/* Leave the slot; 0 also without one. */
int oh_port_unbind(struct oh_core *core, uint32_t port);

/*
 * Let two ports hear each other, in a room of their own; the rooms either was in are left. -EINVAL where both are one;
 * -EAGAIN: others changed a port's codec over and over meanwhile.
 */
int oh_port_bridge(struct oh_core *core, uint32_t port, uint32_t other);

/*
 * A room: each port in it hears all the others, mixed, through playout buffers that adapt to each line (oh_playout.h),
 * instead of its slot alone. Its slot, where it is bound to one, is a party too: heard by all, hearing all.
 */
int oh_core_room(struct oh_core *core, uint32_t *room);
/* All leave, and it is gone. 0 also where it is not known. */
int oh_core_close_room(struct oh_core *core, uint32_t room);

enum oh_heard_by {          /* who hears what a port's far end says; it hears all others in each case */
	OH_HEARD_BY_ALL,    /* a party; of a supervisor: barging in */
	OH_HEARD_BY_NOBODY, /* of a supervisor: listening */
	OH_HEARD_BY_LINE,   /* the far end of port `by` alone: a whisper to a person ... */
	OH_HEARD_BY_SLOT    /* ... or its slot alone: to an AI agent */
};

/* Come into a room, out of any other. -ENOENT: no such room; -ENOSPC: it has no place for the port, and its slot where it
 * is bound to one (OH_ROOM_VOICES voices, slots counted). Where it does not come in it stays where it was. -EAGAIN as
 * above. In that room already: it is heard as said. */
int oh_port_enter(struct oh_core *core, uint32_t port, uint32_t room, enum oh_heard_by heard, uint32_t by);
/* Leave the room, or the bridge; 0 also in none. */
int oh_port_leave_rooms(struct oh_core *core, uint32_t port);
/* Be heard by others from now on. -ENOTCONN: in no room. */
int oh_port_heard(struct oh_core *core, uint32_t port, enum oh_heard_by heard, uint32_t by);

/* Play a prompt; `*play` numbers this playing. -ERANGE: no such prompt. */
int oh_port_play(struct oh_core *core, uint32_t port, uint32_t prompt, bool loop, uint32_t *play);
/* Cut the prompt, with a fade of 5 ms; 0 also without one. */
int oh_port_stop(struct oh_core *core, uint32_t port);

/* Cut what the slot has said; `*played` is the slot's `played` cursor (16 kHz samples), the fade that still leaves counted. */
int oh_port_flush(struct oh_core *core, uint32_t port, uint64_t *played);

/*
 * Press keys, after those that are being pressed. -EOPNOTSUPP: no telephone-event agreed; -EINVAL: a key that is none,
 * or a press_ms outside 40..8000; -ENOSPC: more than OH_DIGITS_MAX keys would wait.
 */
int oh_port_send_digits(struct oh_core *core, uint32_t port, const char *digits, uint32_t press_ms);

/* Write two tracks, of the rate that the port's codec has now. -EALREADY: it records already; else what opening the files answered. */
int oh_port_record(struct oh_core *core, uint32_t port, const char *caller_path, const char *agent_path);
/* Leave holes in both tracks (true), or write on (false); 0 also where nothing is recorded. */
int oh_port_pause_recording(struct oh_core *core, uint32_t port, bool paused);
/* Finish both tracks, OH_EVENT_RECORD_CLOSED follows; 0 also where nothing is recorded. */
int oh_port_stop_recording(struct oh_core *core, uint32_t port);

/* What the port has counted since it opened. */
int oh_port_counters(struct oh_core *core, uint32_t port, struct oh_port_counters *out);

#endif
