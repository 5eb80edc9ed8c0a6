/*
 * engine.h - what the engine's files know of each other. Private: users include oh_core.h.
 *
 * Threads: everything in a port belongs to the media thread; a recording has a half for the media thread and a half
 * for the disk thread; other threads speak to the media thread in commands (verbs.c). Nothing on the way of a packet
 * allocates, locks or waits.
 */
#ifndef OH_ENGINE_H
#define OH_ENGINE_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
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

#define OH_SLOT_NS        500000ll                  /* the wheel's grain: ports' send times are spread by half a millisecond */
#define OH_SLOT_SAMPLES   4u                        /* the same in samples */
#define OH_WHEEL          256u                      /* slots of the wheel; more than the longest tick */
#define OH_PHASES         40u                       /* slots in 20 ms */
#define OH_PHASE_PORTS    16u                       /* ports that share a phase before the next one is begun */
#define OH_LATE_NS        60000000ll                /* a tick this late sends nothing */
#define OH_JUMP_SLOTS     1280u                     /* time lost is skipped in steps of this: 640 ms */
#define OH_JUMP_SAMPLES   5120                      /* the same in samples */
#define OH_FRAME          960u                      /* longest packet sent, samples: 60 ms at 16 kHz */
#define OH_FADE           80u                       /* a cut fades over 5 ms at 16 kHz */
#define OH_PROMPT_FADE    40u                       /* and 5 ms at 8 kHz */
#define OH_STARVE_LIMIT   16000u                    /* 1 s at 16 kHz: an utterance that starves for longer is over */
#define OH_ASIDE          4096u                     /* samples; a power of two: of what a slot hears besides its line */
#define OH_FADE_IN_MS     5u                        /* of the first packet in a codec of another rate */
#define OH_BLOCK          800u                      /* samples of a track handed to the disk at a time: 100 or 50 ms */
#define OH_DISK_RING      16384u                    /* blocks, 27 MB: 800 ms of a thousand recordings at 8 kHz */
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
#define OH_QUALITY_NS     (OH_QUALITY_MS * 1000000ll)
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

struct oh_core;
struct oh_port;

/* --- commands: verbs.c makes them, command.c carries them */

struct oh_command;

typedef int oh_command_run(struct oh_core *core, struct oh_command *command); /* on the media thread */

struct oh_command {
	struct oh_command *next;                                  /* older one in the stack */
	oh_command_run    *run;
	sem_t              answered;
	_Atomic int        state;                                 /* enum in command.c: who may run and who frees it */
	int                result;                                /* 0 or a negative errno */
	uint32_t           port;                                  /* the port it is about */
	uint32_t           a, b;                                  /* arguments, and numbers answered */
	uint64_t           wide;                                  /* likewise */
	void              *thing;                                 /* a port, prompt, recording, segment to hand over: the core's
	                                                           * where the answer is 0, else still the asker's */
	union {
		struct oh_remote        remote;
		struct oh_port_counters port_counters;
		struct oh_core_counters core_counters;
		char                    keys[OH_DIGITS_MAX + 1u];
		struct oh_datagram      datagram;
	} of;
};

/* What a port codes and decodes by, as it is handed over: made in the asking thread, and what was there before is given
 * back to that thread to be freed. */
struct oh_codecs {
	struct oh_encoder  encoder;
	struct oh_decoder  decoder;
	struct oh_playout *playout; /* NULL, until it is known that the port is in a room */
};

/* --- recordings: disk.c */

struct oh_pending {               /* a run of samples that is being gathered for the disk */
	uint64_t at;              /* place of the first on the track */
	uint32_t n;
	int16_t  pcm[OH_BLOCK];
};

struct oh_recoded {               /* sound of another rate on its way to a track */
	int64_t        next;      /* place of the sample that continues it, in samples at 16 kHz */
	struct oh_up   up;
	struct oh_down down;
};

struct oh_recording {
	/* media thread */
	struct oh_recoded     recoded[2];
	struct oh_pending     pending[2]; /* caller, agent */
	bool                  paused;
	bool                  choking;    /* the ring is full, and that has been reported */
	struct oh_recording  *next_closing;
	uint64_t              end;        /* media clock at the end, in samples of the tracks */
	/* disk thread */
	struct oh_track       tracks[2];
	bool                  failing[2]; /* a track's last write failed; reported with the first of the two */
	bool                  listed;
	struct oh_recording  *next;
	/* both, never changed */
	uint32_t              port;
	uint32_t              rate_hz;    /* of both tracks */
	int64_t               opened_ns;
};

struct oh_block {                     /* media thread to disk thread */
	struct oh_recording *recording;
	bool                 close;   /* no samples: finish both tracks, `at` samples long */
	uint8_t              track;   /* 0: caller, 1: agent */
	uint32_t             n;
	uint64_t             at;
	int16_t              pcm[OH_BLOCK];
};

/* --- prompts: prompt.c */

struct oh_prompt {
	struct oh_prompt *next;
	uint32_t          number;
	uint32_t          users;   /* ports that play it */
	bool              dropped; /* forgotten when the last of them is done */
	size_t            n;       /* samples at 8 kHz; twice as many at 16 */
	int16_t          *wide;    /* at 16 kHz; behind `pcm` in the same block */
	int16_t           pcm[];   /* at 8 kHz */
};

/* --- ports */

struct oh_voice {                        /* a port's end of a slot: slots.c */
	struct oh_slot_row *row;         /* NULL: not bound */
	uint32_t           *holder;      /* where the segment keeps who is bound to that row */
	uint32_t            epoch;
	uint64_t            heard, concealed, missing;          /* our own cursors; the row's are copies */
	uint64_t            taken, played, starved, cut_done;
	uint64_t            gap;         /* silence sent since the last sample of an utterance that goes on */
	int16_t             tail[OH_FADE]; /* what still leaves of something cut */
	uint32_t            tail_n;
	bool                talking;     /* between talk began and talk ended */
	uint32_t            rate_hz;     /* of what was last heard, 0: nothing yet */
	uint32_t            spare;       /* samples at 16 kHz that are in the ring already and come once more */
	struct oh_up        up;
};

struct oh_seat {                         /* a port's place in a room: seat.c */
	struct oh_room_entry *entry;
	struct oh_playout    *playout;   /* what its line says, in time */
	enum oh_codec         codec;     /* of that */
	bool                  known_ssrc;
	uint32_t              ssrc;      /* of its newest packet */
	uint32_t              line;      /* its line's number as a voice of the room */
	bool                  has_slot;  /* its slot is a voice too: */
	uint32_t              slot;
	enum oh_heard_by      heard;     /* who hears its line */
	uint32_t              target;    /* the port that alone does */
	struct oh_up          line_up;   /* its line, where the room is wider */
	struct oh_down        slot_down; /* its slot, where the room is narrower */
	struct oh_down        mix_down;  /* the mix, where the room is wider than what it says */
	struct oh_up          aside_up;  /* the mix for its slot, where the room is narrower */
	int16_t               aside[OH_ASIDE]; /* what its slot hears besides its line, at 16 kHz */
	uint64_t              aside_written, aside_read;
	bool                  aside_on;  /* it does not run dry */
};

struct oh_room_entry {                   /* a room and who is in it */
	struct oh_room_entry *next;
	struct oh_room       *room;
	uint32_t              number;
	bool                  fleeting;  /* a bridge: ends with the first that leaves */
	int64_t               now_ns;    /* of the one who asks for sound */
	uint32_t              count;
	struct oh_port       *ports[OH_ROOM_VOICES];
};

struct oh_playing {                      /* a prompt being played: prompt.c */
	struct oh_prompt *prompt;        /* NULL: none */
	size_t            at;            /* next sample of it, at 8 kHz */
	uint64_t          played;        /* samples at 8 kHz */
	uint32_t          number;        /* of this playing */
	bool              loop;
	int16_t           tail[2u * OH_PROMPT_FADE]; /* what still leaves of a prompt that was cut, at the port's rate */
	uint32_t          tail_n;
};

struct oh_anchor {                       /* the stream's timeline on the media clock, all at 16 kHz: hear.c */
	int64_t  at;                     /* media clock of the stream's sample 0 */
	int64_t  least;                  /* least delay among the packets of this window, samples */
	uint32_t packets;                /* in this window */
	bool     set;
};

struct oh_seen {                         /* how well the call is heard: quality.c */
	struct oh_voip    voip;          /* bursts and gaps of what comes */
	int64_t           due_ns;        /* when that is told next, */
	int64_t           since_ns;      /* and of what time on */
	uint32_t          timestamp;     /* of the last packet, */
	uint16_t          seq;           /* its number, */
	uint32_t          packet_ticks;  /* and the length of packets, RTP ticks */
	bool              left;          /* the source said goodbye, and has not spoken since */
	uint32_t          reports;       /* blocks about us since the last time it was told, */
	double            reported_lost; /* the sum of their fractions lost, */
	uint32_t          reported_jitter; /* the last one's jitter, */
	uint64_t          told_out;      /* and packets_out by then */
	struct oh_xr_voip said;          /* the far end's own metrics, where there were any */
	bool              said_any;
	int64_t           reference_ns;  /* when a receiver reference time came that is still to be answered; 0: none is */
	uint32_t          reference_mid; /* the middle of it, */
	uint32_t          reference_ssrc; /* and whose */
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
	uint8_t                  hears_pt;       /* payload type of what it decodes */
	bool                     recodes;        /* from the first packet of the new payload type on it decodes by `coming` */
	struct oh_decoder        coming;         /* or, afterwards, what it decoded by before */
	struct oh_playout       *coming_playout; /* likewise, of its seat */
	struct oh_digits_in      digits_in;
	uint32_t                 digits_ssrc;    /* whose presses it knows; seldom another than the voice's */
	int64_t                  packet_free_ns; /* flood(): what is spent of the packets ... */
	int64_t                  digit_free_ns;  /* ... and of the presses that a telephone may send */
	struct oh_anchor         anchor;
	int64_t                  now_ns;         /* of the packet or tick being worked on */

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

	struct oh_recording     *recording;
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

struct oh_segment {
	struct oh_slots_header *header;
	size_t                  size;
	uint32_t                slots;
	uint32_t               *holders; /* number of the port bound to each slot, 0: none. Ours: `live` is in a worker's reach */
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
	_Atomic bool                  disk_idle; /* it sleeps: wake it through disk_fd */
	_Atomic(struct oh_command *)  commands;  /* newest first */
	struct oh_ring                media_events, disk_events, disk, datagrams_up;
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
	struct oh_recording          *closing;   /* whose end has not found room in the disk ring */
	struct oh_core_counters       counters;
	struct oh_pacing              pacing;
	bool                          told_events, told_disk; /* something was put there since they were woken */
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
void oh_port_recode(struct oh_port *port); /* the first packet of the new payload type is here */
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

/* secure.c */
int oh_port_seal(struct oh_port *port, uint8_t *data, size_t len, size_t cap, bool rtcp);
int oh_port_unseal(struct oh_port *port, uint8_t *data, size_t len, bool rtcp);

/* ice.c */
bool oh_ice_takes(struct oh_port *port, const struct sockaddr_in *from, const uint8_t *data, size_t len);

/* receive.c */
void oh_receive(struct oh_port *port, bool rtcp);
void oh_receive_near(const struct oh_port *port);
void oh_digit_heard(struct oh_port *port, const struct oh_digit *digit);

/* quality.c */
void oh_quality_heard(struct oh_port *port, const struct oh_rtp *rtp, bool late); /* a packet that counts */
uint64_t oh_quality_late(const struct oh_port *port); /* packets that came too late for whoever listens */
void oh_quality_told(struct oh_port *port, const struct oh_rtcp *rtcp);           /* the far end reported */
void oh_quality_begin(struct oh_port *port); /* signalling spoke for the first time */
void oh_quality_tick(struct oh_port *port);
void oh_quality_whole(const struct oh_port *port, struct oh_quality_side *side);  /* what was heard since it opened */
void oh_quality_report(struct oh_port *port, uint64_t ntp, bool sender, struct oh_xr *xr); /* what our report adds */

/* hear.c */
void oh_hear_frame(void *port, const struct oh_listen_frame *frame);
void oh_hear_tick(struct oh_port *port, uint32_t samples);

/* play.c */
void oh_play_packet(struct oh_port *port, int64_t due_ns);
void oh_play_rate(struct oh_port *port, uint32_t before_hz); /* the encoder's rate was this, and is another one */

/* rooms.c */
void oh_port_leave_room(struct oh_port *port); /* also where it is in none */
void oh_rooms_drop(struct oh_core *core);

/* seat.c */
int  oh_seat_make(struct oh_seat **seat, enum oh_codec codec, uint32_t seed); /* any thread */
void oh_seat_free(struct oh_seat *seat);                                      /* of nobody; NULL is fine */
int  oh_seat_take(struct oh_port *port, struct oh_room_entry *entry, struct oh_seat *seat); /* 0, or -ENOSPC */
void oh_seat_leave(struct oh_port *port);
void oh_seat_count(const struct oh_seat *seat, struct oh_port_counters *to); /* adds what its playout counted */
bool oh_seat_slot_fits(const struct oh_port *port); /* may it be bound to a slot? Where it is in a full room, it may not */
void oh_seat_slot_came(struct oh_port *port);       /* it was bound to a slot; in a room or not */
void oh_seat_slot_goes(struct oh_port *port);
void oh_seat_heard(struct oh_port *port, enum oh_heard_by heard, uint32_t target);
void oh_seat_rate(struct oh_port *port); /* what it says has another rate from here on; in a room or not */
/* What it hears is of another codec from here on, with a playout buffer for that; the one before. In a room. */
struct oh_playout *oh_seat_recode(struct oh_port *port, struct oh_playout *playout, enum oh_codec codec);
void oh_seat_put(struct oh_port *port, const struct oh_rtp *rtp, enum oh_listen_content content); /* in a room */
bool oh_seat_hear(struct oh_port *port, int16_t *out, size_t n); /* what its far end hears; in a room; false: silence */
void oh_seat_tick(struct oh_port *port, uint32_t samples);       /* gather what its slot hears besides */
bool oh_seat_mix(struct oh_port *port, int16_t *wide, size_t n); /* and mix it in, at 16 kHz; true where there was any */

/* prompt.c */
int    oh_prompt_make(const int16_t *pcm, size_t samples, uint32_t rate_hz, struct oh_prompt **prompt);
void   oh_prompt_forget(struct oh_core *core, uint32_t number);
int    oh_prompt_start(struct oh_port *port, uint32_t number, bool loop, uint32_t *play);
void   oh_prompt_cut(struct oh_port *port, int64_t clock);
size_t oh_prompt_say(struct oh_port *port, int16_t *out, size_t n); /* at the port's rate; samples of sound, 0: none */
void   oh_prompts_free(struct oh_core *core); /* disk thread: those that are spent */

/* slots.c */
int    oh_segment_map(int fd, struct oh_segment *segment);
void   oh_segment_unmap(struct oh_segment *segment);
int    oh_voice_bind(struct oh_port *port, uint32_t segment, uint32_t slot);
void   oh_voice_leave(struct oh_port *port);
void   oh_voice_hear(struct oh_port *port, const int16_t *pcm, size_t n, uint32_t rate_hz, enum oh_listen_kind kind);
void   oh_voice_obey(struct oh_port *port, bool sending); /* carry out a cut the worker asked for */
void   oh_voice_cut(struct oh_voice *voice, uint64_t before, bool sending);
void   oh_voice_near(const struct oh_voice *voice); /* have the processor fetch what a tick will read */
bool   oh_voice_ready(const struct oh_voice *voice); /* there is something to say, or an utterance to end */
bool   oh_voice_say(struct oh_port *port, int16_t *out, size_t n); /* n samples at 16 kHz; false: all silence */

/* disk.c */
int  oh_recording_open(struct oh_recording **recording, const char *caller_path, const char *agent_path,
                       uint32_t rate_hz);
void oh_recording_abandon(struct oh_recording *recording); /* never begun */
/* `at`: place of pcm[0] on the media clock, in samples at 16 kHz whatever the rate */
void oh_recording_put(struct oh_port *port, uint32_t track, int64_t at, const int16_t *pcm, size_t n, uint32_t rate_hz);
void oh_recording_tick(struct oh_port *port);
void oh_recording_end(struct oh_port *port);
bool oh_recording_flush_closing(struct oh_core *core); /* true where none is left waiting */
void oh_disk_wake(struct oh_core *core);
void *oh_disk_main(void *core);

/* command.c */
struct oh_command *oh_command_new(oh_command_run *run, uint32_t port); /* NULL: no memory */
void oh_command_free(struct oh_command *command);
/* Ask and wait. After 0 the command is still the caller's, to read the answer from and free; else it is gone. After
 * -ETIMEDOUT it may be carried out yet, but not where it has a `thing`: nothing is made that nobody knows of. */
int  oh_command_ask(struct oh_core *core, struct oh_command *command);
/* Ask for something that has no answer but done or refused; the command is gone. */
int  oh_command_do(struct oh_core *core, struct oh_command *command);
/* Ask and do not wait: it is carried out in its turn. The command is gone, and has no `thing`. */
void oh_command_leave(struct oh_core *core, struct oh_command *command);
struct oh_port *oh_command_port(struct oh_core *core, const struct oh_command *command); /* its clock read; or NULL */
void oh_commands_run(struct oh_core *core);
void oh_commands_refuse(struct oh_core *core);

#endif
