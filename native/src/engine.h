/*
 * engine.h - what the engine's files know of each other. Private: users include oh_core.h.
 *
 * Threads: everything in a port belongs to the media thread; a recording has a half for the media thread and a half
 * for the disk thread; other threads speak to the media thread in commands (command.h). Nothing on the way of a packet
 * allocates, locks or waits.
 *
 * Here are the core, its ports and their recordings. What a port is made of and can be read alone has a header of its own:
 * voice.h (its slot), prompt.h, quality.h, seat.h (rooms).
 */
#ifndef OH_ENGINE_H
#define OH_ENGINE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_codec.h"
#include "oh_comfort.h"
#include "oh_core.h"
#include "oh_demux.h"
#include "oh_digits.h"
#include "oh_emodel.h"
#include "oh_latch.h"
#include "oh_listen.h"
#include "oh_playout.h"
#include "oh_resample.h"
#include "oh_ring.h"
#include "oh_room.h"
#include "oh_rtcp.h"
#include "oh_rtp.h"
#include "oh_slots.h"
#include "oh_srtp.h"
#include "oh_track.h"
#include "oh_voip.h"
#include "prompt.h"
#include "quality.h"
#include "voice.h"

#define OH_SLOT_NS        500000ll                  /* the wheel's grain: ports' send times are spread by half a millisecond */
#define OH_SLOT_SAMPLES   4u                        /* the same in samples */
#define OH_WHEEL          256u                      /* slots of the wheel; more than the longest tick */
#define OH_PHASES         40u                       /* slots in 20 ms */
#define OH_PHASE_PORTS    4u                        /* ports that share a phase before the next one is begun: in Opus as
                                                     * many as fit it */
#define OH_LATE_NS        60000000ll                /* a tick this late sends nothing */
#define OH_JUMP_SLOTS     1280u                     /* time lost is skipped in steps of this: 640 ms */
#define OH_JUMP_SAMPLES   5120                      /* the same in samples */
#define OH_FRAME          960u                      /* longest packet sent, samples: 60 ms at 16 kHz */
#define OH_FADE_IN_MS     5u                        /* of the first packet in a codec of another rate */
#define OH_BLOCK          4096u                     /* samples of a track written at a time, whole pages: 512 or 256 ms */
#define OH_BLOCK_WAIT     (OH_BLOCK + OH_BLOCK / 4u) /* samples that pass before one is written that nobody fills */
#define OH_BLOCKS         16384u                    /* 134 MB at most, none touched without need: two a recording, and
                                                     * what waits for the disk: 3.6 s of a thousand at 8 kHz */
#define OH_DISK_BATCH     64u                       /* blocks that wake the disk thread while it dozes ... */
#define OH_DISK_DOZE_MS   50                        /* ... which is no longer than this */
#define OH_EVENT_RING     4096u                     /* events */
#define OH_DATAGRAM_RING  1024u                     /* datagrams handed up, 1.6 MB */
#define OH_POSTS          1024u                     /* datagrams that wait to be posted */
#define OH_DRAIN_NS       3000000000ll              /* closed sockets swallow what still comes, until so much silence */
#define OH_DRAIN_MOST_NS  30000000000ll             /* but no longer than this */
#define OH_DRAIN_LOOK_NS  100000000ll               /* between looks for sockets that have drained */
#define OH_DRAIN_BATCH    16u                       /* ports freed at one look */
#define OH_LOST_NS        1000000000ll              /* no packets for this long: media lost */
#define OH_LOST_QUIET_NS  10000000000ll             /* likewise after comfort noise, and before the first packet */
#define OH_ANCHOR_SLACK   960                       /* 60 ms at 16 kHz: a track's mapping may be off by this */
#define OH_ANCHOR_PACKETS 50u                       /* packets over which the least delay is taken */
#define OH_RTCP_NS        5000000000ll              /* between reports, give or take half of it (RFC 3550 6.2) */
#define OH_DATAGRAM       (OH_RTP_MAX + 4u)         /* so that too long ones are seen to be */
#define OH_PT_COMFORT     13u                       /* RFC 3551, RFC 3389 */
#define OH_CNAME          24u
#define OH_DIGITS_PAUSE_MS 80u                      /* between two presses */
#define OH_PACKET_LEAST_NS 2500000ll                /* more packets than 400 a second are a flood: dropped ... */
#define OH_DIGIT_LEAST_NS 50000000ll                /* ... as are more than 20 presses a second ... */
#define OH_PACKET_BURST_NS 1000000000ll             /* ... but so much of either may come at once after a stall */
#define OH_DIGIT_BURST_NS 3200000000ll
#define OH_RTCP_LEAST_NS  20000000ll                /* more than 50 RTCP packets a second are dropped unread ... */
#define OH_RTCP_BURST_NS  2000000000ll              /* ... beyond 100 at once */

struct oh_codecs;
struct oh_command;
struct oh_core;
struct oh_port;
struct oh_room_entry;
struct oh_seat;

/* --- recordings: disk.c */

struct oh_pending {               /* a run of samples that is being gathered for the disk */
	uint64_t at;              /* place of the first on the track */
	uint32_t n;
	uint32_t block;           /* where they lie, if there are any */
};

struct oh_recoded {               /* sound of another rate on its way to a track */
	int64_t        next;      /* place of the sample that continues it, in samples at 16 kHz */
	struct oh_up   up;
	struct oh_down down;
};

struct oh_recording {
	/* both, never changed */
	uint32_t              port;
	uint32_t              rate_hz;    /* of both tracks */
	int64_t               opened_ns;
	/* media thread; what every packet needs lies within 64 bytes */
	struct oh_pending     pending[2]; /* caller, agent */
	bool                  paused;
	bool                  choking;    /* no block was left, and that has been reported */
	struct oh_recording  *next_closing;
	uint64_t              end;        /* media clock at the end, in samples of the tracks */
	struct oh_recoded     recoded[2];
	/* disk thread */
	struct oh_track       tracks[2];
	bool                  failing[2]; /* a track's last write failed; reported with the first of the two */
	bool                  listed;
	struct oh_recording  *next;
};

struct oh_errand {                    /* media thread to disk thread */
	struct oh_recording *recording;
	uint64_t             at;      /* place of the first sample on the track */
	uint32_t             n;
	uint32_t             block;   /* where they lie; afterwards it may be filled again */
	uint8_t              track;   /* 0: caller, 1: agent */
	bool                 close;   /* no samples: finish both tracks, `at` samples long */
};

/* --- ports */

struct oh_anchor {                       /* the stream's timeline on the media clock, all at 16 kHz: hear.c */
	int64_t  at;                     /* media clock of the stream's sample 0 */
	int64_t  least;                  /* least delay among the packets of this window, samples */
	uint32_t packets;                /* in this window */
	bool     set;
};

struct oh_recode {                       /* what it hears changes its codec: recode.c */
	bool               pending;      /* agreed, and the first packet of the new payload type is still to come */
	uint8_t            pt;           /* payload type of what it decodes now */
	struct oh_decoder  decoder;      /* pending: of the new codec; else what is left of the one before */
	struct oh_playout *playout;      /* likewise, where it is in a room */
};

struct oh_port {
	struct oh_core          *core;
	struct oh_port          *next;           /* in its wheel slot, or among the draining */
	uint32_t                 number;
	uint32_t                 phase;          /* 0 .. OH_PHASES - 1 */
	uint32_t                 place;          /* the wheel's slot it lies in */
	int                      rtp_fd;
	int                      rtcp_fd;
	int64_t                  opened_ns;      /* CLOCK_MONOTONIC at media clock 0 */
	int64_t                  clock;          /* media clock at the next tick */
	int64_t                  left_ns;        /* when it was closed */
	int64_t                  drain_until;    /* 0: open */
	uint32_t                 overflow[2];    /* SO_RXQ_OVFL as last seen, RTP and RTCP */

	struct oh_remote         remote;
	bool                     have_remote;
	struct sockaddr_in       to;             /* where RTP goes */
	struct sockaddr_in       rtcp_to;        /* sin_port 0: nowhere */
	struct oh_latch          latch;
	int64_t                  heard_ns;       /* the last packet taken */
	bool                     started;        /* any packet was ever taken since signalling */
	bool                     lost;           /* and that was reported lost */
	bool                     quiet;          /* the last was comfort noise */

	struct oh_listen         listen;
	struct oh_recode         recode;         /* from one codec to another */
	struct oh_digits_in      digits_in;
	uint32_t                 digits_ssrc;    /* whose presses it knows; seldom another than the voice's */
	int64_t                  packet_free_ns; /* flood(): what is spent of the packets ... */
	int64_t                  digit_free_ns;  /* ... and of the presses that a telephone may send */
	struct oh_anchor         anchor;
	int64_t                  now_ns;         /* of the packet or tick being worked on */

	struct oh_recording     *recording;      /* NULL: none; beside the voice's row, which is looked at before it too */
	struct oh_voice          voice;
	struct oh_seat          *seat;           /* NULL: in no room */
	struct oh_playing        playing;
	struct oh_digits_out     digits_out;
	bool                     pressing;
	struct oh_down           down;
	bool                     down_busy;      /* the filter still holds sound */
	struct oh_comfort        comfort;
	struct oh_encoder        encoder;        /* its codec's rate is that of all that the port says */
	double                   loss;           /* 0..1, of what we send, lately */
	bool                     fades_in;       /* the next packet is the first at another rate */
	uint32_t                 plays;          /* playings numbered so far */
	uint32_t                 wait;           /* samples until the next packet is due */
	bool                     sounding;       /* the last packet carried more than comfort noise */
	bool                     sent;           /* at the last tick it was sending */
	bool                     paused_sending; /* the next packet is the first after a pause */

	struct oh_srtp          *srtp;           /* NULL: no keys */
	bool                     sealed;         /* something of our stream was ever sent with a key */
	bool                     ice;
	struct oh_demux          demux;          /* with ICE: whom it has selected */

	uint32_t                 ssrc;
	uint32_t                 ts_base;
	uint16_t                 seq;
	bool                     wrapped;        /* it has been 65535 since the SSRC was chosen */
	struct oh_rtcp_source    source;
	bool                     have_source;
	uint32_t                 counted_ts;     /* timestamp and arrival of the last packet given to it */
	int64_t                  counted_ns;
	int64_t                  report_ns;      /* when the next RTCP report is due */
	int64_t                  rtcp_free_ns;   /* flood(): what is spent of the RTCP packets that it may send */
	struct oh_seen           seen;
	uint64_t                 reported_out;   /* packets_out at the last one */
	uint64_t                 payload_out;    /* bytes with this SSRC, for the SR */
	uint64_t                 renamed_out;    /* packets_out when the SSRC was chosen */

	struct oh_port_counters  counters;
};

/* --- the core */

#define OH_PACING_OCTAVES 40u
#define OH_PACING_STEPS   16u

struct oh_pacing { /* histogram of how late packets left: 16 steps an octave of nanoseconds */
	uint64_t counts[OH_PACING_OCTAVES * OH_PACING_STEPS];
	uint64_t total;
	int64_t  max_ns;
};

struct oh_core {
	in_addr_t                     ip; /* network byte order */
	uint16_t                      port_low, port_high;
	char                          cname[OH_CNAME];
	int                           epoll_fd, timer_fd, wake_fd, event_fd, disk_fd;
	pthread_t                     media_thread, disk_thread;
	bool                          media_runs, disk_runs;
	_Atomic bool                  stop;      /* media thread: end */
	_Atomic bool                  disk_stop; /* disk thread: end when the ring is empty */
	_Atomic uint32_t              disk_until; /* errands for which it wants to be woken through disk_fd; 0: it is awake */
	_Atomic(struct oh_command *)  commands;  /* newest first */
	struct oh_ring                media_events, disk_events, datagrams_up;
	struct oh_ring                disk;      /* errands for the disk thread, */
	struct oh_ring                blocks_back; /* numbers of blocks that are written */
	int16_t                     (*blocks)[OH_BLOCK];
	uint32_t                      block_count;
	_Atomic uint32_t              posts;     /* that wait */
	_Atomic uint64_t              events_dropped;

	/* media thread */
	struct oh_port               *ports[OH_MAX_PORTS]; /* where oh_core_port_place says */
	uint32_t                      next_port;
	uint32_t                      open_ports;
	uint32_t                      phase_ports[OH_PHASES];
	struct oh_port               *wheel[OH_WHEEL];
	int64_t                       origin_ns; /* of the wheel's slot 0 */
	uint64_t                      slot;      /* the next to be run */
	int64_t                       armed_ns;  /* what the timer is set to */
	struct oh_port               *draining;
	int64_t                       drain_look_ns; /* when they are looked at next */
	struct oh_room_entry         *rooms;
	uint32_t                      next_room;
	uint32_t                      step;      /* of these numbers */
	struct oh_prompt             *prompts;
	_Atomic(struct oh_prompt *)   spent;     /* prompts for the disk thread to free */
	struct oh_segment             segments[OH_MAX_SEGMENTS];
	uint32_t                      segment_count;
	uint32_t                      fresh_blocks; /* so many were ever used */
	struct oh_recording          *closing;   /* whose end has not found room in the disk ring */
	struct oh_core_counters       counters;
	struct oh_pacing              pacing;
	bool                          told_events, told_disk; /* something was put there since they were woken */
	bool                          told_end;  /* likewise, to the disk: the end of a recording */
	uint64_t                      random;    /* state of oh_random */
	_Alignas(8) uint8_t           datagram[OH_DATAGRAM]; /* the one being looked at */
};

/* Where the port of a number lies: its numbers are `step` apart, and all places are used. */
static inline struct oh_port **oh_core_port_place(struct oh_core *core, uint32_t number)
{
	return &core->ports[number / core->step % OH_MAX_PORTS];
}

/* Samples in a millisecond of what the port says. */
static inline uint32_t oh_port_per_ms(const struct oh_port *port)
{
	return oh_codec_rate_hz(port->encoder.codec) / 1000u;
}

/* RTP ticks for a sample of the media clock, of what the port says. */
static inline uint32_t oh_port_ticks(const struct oh_port *port)
{
	return oh_codec_clock_hz(port->encoder.codec) / 8000u;
}

/* core.c */
int64_t         oh_now_ns(void);
uint32_t        oh_random(struct oh_core *core); /* media thread; not for secrets, seeded from the system */
struct oh_port *oh_core_port(struct oh_core *core, uint32_t number); /* NULL where it is not open */
void            oh_core_place(struct oh_core *core, struct oh_port *port); /* onto the wheel, media clock begins */
void            oh_core_unplace(struct oh_core *core, struct oh_port *port);
void            oh_pacing_add(struct oh_pacing *pacing, int64_t late_ns);
double          oh_pacing_us(const struct oh_pacing *pacing, double share);

/* events.c */
void oh_event_media(struct oh_core *core, const struct oh_port *port, enum oh_event_kind kind, int64_t clock, int64_t a,
                    int64_t b, int64_t c, const char *text);
void oh_event_quality(struct oh_core *core, const struct oh_port *port, int64_t ms, const struct oh_quality *quality);
void oh_event_disk(struct oh_core *core, const struct oh_recording *recording, enum oh_event_kind kind,
                   const char *text);
void oh_event_wake(struct oh_core *core);
void oh_event_begin(struct oh_core *core); /* somebody reads: clear the descriptor ... */
void oh_event_end(struct oh_core *core);   /* ... and set it again where anything still waits */

/* port.c */
int  oh_port_make(struct oh_core *core, struct oh_port **port, uint16_t *rtp_port); /* any thread */
void oh_port_free(struct oh_port *port);
int  oh_port_join(struct oh_core *core, struct oh_port *port);
void oh_port_leave(struct oh_core *core, struct oh_port *port);
void oh_port_point(struct oh_port *port, const struct oh_remote *remote, struct oh_codecs *codecs);
void oh_port_lost(struct oh_port *port, double share); /* of what we sent, by the far end's report */
void oh_port_tick(struct oh_port *port, int64_t due_ns);
void oh_port_report(struct oh_port *port, bool bye); /* RTCP */
void oh_port_aim(struct oh_port *port); /* at where signalling says */
void oh_port_rename(struct oh_port *port); /* another SSRC */

/* Packets leave: signalling wants them, it is known where to, and they may leave as they are. */
static inline bool oh_port_sends(const struct oh_port *port)
{
	return port->have_remote && port->remote.send && port->to.sin_port != 0 &&
	       (!port->remote.secure || port->srtp != NULL);
}

static inline bool oh_port_muxed(const struct oh_port *port)
{
	return port->remote.rtcp_mux || port->ice;
}

/* recode.c */
/* Signalling spoke, and `remote` has what it said: hear this decoder's codec, in a room through this playout buffer, from
 * the first packet of that payload type on. What is left over goes back in `codecs`. */
void oh_recode_agree(struct oh_port *port, struct oh_codecs *codecs);
void oh_recode_now(struct oh_port *port); /* from here on; also where nothing is pending */
void oh_recode_free(struct oh_port *port);

/* A packet of this payload type is of the codec that is about to go. */
static inline bool oh_recode_still(const struct oh_port *port, uint8_t pt)
{
	return port->recode.pending && pt == port->recode.pt;
}

/* secure.c */
int oh_port_seal(struct oh_port *port, uint8_t *data, size_t len, size_t cap, bool rtcp);
int oh_port_unseal(struct oh_port *port, uint8_t *data, size_t len, bool rtcp);

/* ice.c */
bool oh_ice_takes(struct oh_port *port, const struct sockaddr_in *from, const uint8_t *data, size_t len);

/* receive.c */
void oh_receive(struct oh_port *port, bool rtcp);
void oh_receive_near(const struct oh_port *port);
void oh_digit_heard(struct oh_port *port, const struct oh_digit *digit);

/* hear.c */
void oh_hear_frame(void *port, const struct oh_listen_frame *frame);
void oh_hear_tick(struct oh_port *port, uint32_t samples);

/* play.c */
void oh_play_packet(struct oh_port *port, int64_t due_ns);
void oh_play_rate(struct oh_port *port, uint32_t before_hz); /* the encoder's rate was this, and is another one */

/* disk.c */
int  oh_recording_open(struct oh_recording **recording, const char *caller_path, const char *agent_path,
                       uint32_t rate_hz);
void oh_recording_abandon(struct oh_recording *recording); /* never begun */
/* `at`: place of pcm[0] on the media clock, in samples at 16 kHz whatever the rate */
void oh_recording_put(struct oh_port *port, uint32_t track, int64_t at, const int16_t *pcm, size_t n, uint32_t rate_hz);
void oh_recording_tick(struct oh_port *port);
void oh_recording_near(const struct oh_port *port, uint32_t track); /* have the processor fetch where the next goes */
void oh_recording_end(struct oh_port *port);
bool oh_recording_flush_closing(struct oh_core *core); /* true where none is left waiting */
int  oh_disk_init(struct oh_core *core, uint32_t blocks); /* its rings and blocks: 0 or a negative errno */
void oh_disk_free(struct oh_core *core);
void oh_disk_wake(struct oh_core *core, bool now); /* where it sleeps, or would not wake by itself soon enough */
void *oh_disk_main(void *core);


#endif
