/*
 * oh_listen.h - the listening path's buffer: RTP packets in, a stream of samples out, with next to no delay.
 *
 * Nobody listens to this stream on a loudspeaker, so it has no playout delay:
 *   - a packet that continues the stream is decoded and released at once, while it arrives;
 *   - behind a gap packets wait, at most OH_LISTEN_WAIT_NS, for the missing ones; then the gap is concealed, by the codec
 *     where it can do so. Of a codec that sends copies (Opus), the packet behind the gap brings back the one before it:
 *     that is HEARD, for it is what the caller said, and counted as `recovered_samples` too. The lost packet stays lost;
 *   - when nothing comes at all, 20 ms are made up every 20 ms, from OH_LISTEN_WAIT_NS after the moment that the next
 *     packet was due: 60 ms of fading voice (CONCEALED), then low comfort noise (MISSING, which is not the caller's
 *     silence). The stream's clock never stops. The moment is known within one call of oh_listen_tick. Due is a packet
 *     that takes as long as the newest one did, or as the slowest of the last second or so, but no more than
 *     OH_LISTEN_SLOW_NS longer than the newest: on a network whose packets take now more, now less time, a packet that
 *     is merely slow is not made up for, and what comes is delayed by nothing. What overtakes each other there is held
 *     until it is in order again, which costs some milliseconds on average and cannot cost less;
 *   - a packet whose place in the stream has been filled already is LATE: it comes out as a frame of that kind, for the
 *     recording alone; the stream itself does not go back. So when packets return after a stall the stream goes on
 *     without any delay having piled up. Where the path's delay has grown for good, the stream waits until what comes
 *     is not late any more; where what comes is more than 200 ms late, and at the pace at which it was said, it
 *     restarts instead: the sender paused, and stopped its clock as well.
 *   - silence that the sender made (comfort noise packets of RFC 3389, an Opus packet that tells of it, a jump of the
 *     timestamp without one of the sequence number, or digits in place of audio) is COMFORT.
 *
 * Two clocks. The stream is the sender's timeline: every sample of it comes out exactly once, in order, and `at`
 * counts them from the first packet on. A sender whose clock is slower than ours gives its reader a little less than
 * 1,280 samples in 80 ms; a reader that takes what is there loses nothing. One that is faster, or a path whose delay
 * shrank for good after a stall, would leave more and more in front of the reader: then packets come out as SKIPPED
 * until it does no longer (oh_lead.h). A skipped packet goes to the recording and not to the reader; `at` counts it.
 * What the reader gets is therefore never more than OH_LEAD_MAX_MS and two seconds' skew behind.
 *
 * Samples are of the codec's rate (oh_codec.h), here and in every number below that says samples; RTP timestamps count
 * ticks, of which a sample may have several. When the codec changes (oh_listen_codec), the stream goes on: `at` and the
 * counters are carried over to the new rate, and the voice is cross-faded.
 *
 * The reader's stream is the LIVE frames (oh_listen_live): HEARD, CONCEALED, MISSING, COMFORT.
 *
 * A new SSRC restarts the stream at once; so does the first packet by another codec's clock; so does a timestamp that
 * goes back or far ahead while the sequence numbers go on. A sequence number far off restarts it when a second packet
 * follows it with nothing believable between them. `at` goes on over a restart, and the first frame after it says so.
 *
 * A packet that comes after a later one was decoded is decoded beside the stream, so that the codec's memory stays whole.
 *
 * No allocation; one struct per port; one thread.
 */
#ifndef OH_LISTEN_H
#define OH_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_codec.h"
#include "oh_comfort.h"
#include "oh_conceal.h"
#include "oh_lead.h"
#include "oh_came.h"

#define OH_LISTEN_WAIT_NS     40000000ll  /* longest wait behind a gap, and beyond a packet's due time */
#define OH_LISTEN_SLOW_NS     80000000ll  /* most that a packet may be expected to take longer than the newest did */
#define OH_LISTEN_FILL_MS     20u         /* made up at a time */
#define OH_LISTEN_MAX_SAMPLES OH_CODEC_SAMPLES_MAX /* longest packet taken: 120 ms */
#define OH_LISTEN_SLOTS       16u         /* packets that can wait behind a gap; when more come it is concealed at once */
#define OH_LISTEN_JUMP_MS     1500        /* a timestamp further ahead is always a jump */
#define OH_LISTEN_EARLY_MS    480         /* likewise one this much ahead of what time explains */
#define OH_LISTEN_SEQ_JUMP    100         /* likewise a sequence number further off than this and what time explains */

enum oh_listen_kind {
	OH_HEARD,     /* decoded from a packet, its own or the next one's copy */
	OH_CONCEALED, /* made up behind a gap */
	OH_MISSING,   /* noise in place of packets that did not come: nobody knows what the caller said */
	OH_COMFORT,   /* noise in place of a silence that the sender chose */
	OH_LATE,      /* decoded, but its place was filled before: for the recording */
	OH_SKIPPED,   /* decoded, and left out of the reader's stream to catch up: for the recording */
};

enum oh_listen_content { /* what a packet carries; its payload type, by the words of the session */
	OH_CARRIES_AUDIO,   /* what the decoder takes */
	OH_CARRIES_COMFORT, /* comfort noise, payload type 13: first byte is the level in -dBov */
	OH_CARRIES_OTHER,   /* telephone-event or anything else: takes a sequence number, says nothing about sound */
};

struct oh_listen_packet {
	const uint8_t         *payload;     /* copied where it must wait */
	size_t                 payload_len; /* bytes; audio and comfort noise: 1..OH_CODEC_PAYLOAD_MAX */
	enum oh_listen_content content;
	uint32_t               ssrc;
	uint32_t               timestamp;
	uint16_t               seq;
};

struct oh_listen_frame {
	const int16_t      *pcm;       /* valid during the call */
	size_t              n;         /* samples, 1..OH_LISTEN_MAX_SAMPLES */
	int64_t             at;        /* place of pcm[0] on the stream's timeline: samples since the first packet's first
	                                * sample; below 0 only for a LATE one sent before that packet */
	uint32_t            timestamp; /* RTP timestamp of pcm[0] */
	uint32_t            rate_hz;   /* 8000 or 16000 */
	enum oh_listen_kind kind;
	bool                restarted; /* first of the stream's frames (not a LATE one) after a restart: `timestamp` does not
	                                * continue that of the one before */
};

/* Where frames go; called from within oh_listen_put and oh_listen_tick, any number of times. */
typedef void oh_listen_out(void *arg, const struct oh_listen_frame *frame);

struct oh_listen_counters {
	uint64_t received;          /* packets taken: heard, late, skipped, comfort, other */
	uint64_t late;              /* packets that came after their place was filled (wholly) */
	uint64_t lost;              /* packets that have not come by the time the stream passed them; a late one counts back */
	uint64_t duplicate;         /* packets that came again */
	uint64_t reordered;         /* packets that came after a later one, in time or not */
	uint64_t heard_samples;     /* released as HEARD */
	uint64_t recovered_samples; /* of those (and of SKIPPED), from the next packet's copy of a lost one */
	uint64_t concealed_samples; /* released as CONCEALED */
	uint64_t missing_samples;   /* released as MISSING */
	uint64_t comfort_samples;   /* released as COMFORT */
	uint64_t skipped_samples;   /* left out to catch up */
	uint64_t waited_ns;         /* sum, over all packets, of the time behind gaps: over received it is the delay added */
	uint64_t bad;               /* packets refused: none the codec takes, or a lone jump; or broken inside */
	uint64_t restarts;          /* of the stream: SSRC changes and jumps */
};

struct oh_listen_slot {                                 /* a packet that waits behind a gap */
	int64_t                arrival_ns;
	uint32_t               timestamp;
	uint16_t               seq;
	uint16_t               len;                     /* bytes of payload */
	uint16_t               samples;                 /* audio in it */
	enum oh_listen_content content;
	bool                   used;
	uint8_t                payload[OH_CODEC_PAYLOAD_MAX];
};

struct oh_listen {                                      /* private but for `counters` */
	struct oh_listen_counters counters;
	oh_listen_out            *out;                  /* where frames go ... */
	void                     *out_arg;              /* ... and its first argument */
	struct oh_conceal         conceal;              /* makes up what is missing */
	struct oh_decoder         decoder;
	int32_t                   ticks;                /* of the timestamp, for a sample */
	int32_t                   per_ms;               /* samples in a millisecond */
	int64_t                   ns_a_sample;
	bool                      new_clock;            /* no packet of audio has come by the codec's clock yet */
	bool                      started;              /* a first packet came */
	bool                      restarted;            /* the next frame is the first after a restart */
	bool                      jump_seen;            /* one packet far off came: jump_seq is its sequence number + 1 */
	uint16_t                  jump_seq;
	uint16_t                  next_seq;             /* of the packet that continues the stream */
	uint32_t                  top_ts;               /* highest timestamp of audio or comfort noise seen */
	int64_t                   top_ns;               /* when the highest sequence number came */
	uint16_t                  waiting;              /* slots in use */
	uint32_t                  ssrc;
	uint32_t                  next_ts;              /* RTP timestamp of the next sample to release */
	int64_t                   at;                   /* its place on the timeline */
	int64_t                   base_ns;              /* when a usual packet from 0 on the timeline would have arrived,
	                                                 * had it taken as long as is expected now */
	int32_t                   usual;                /* samples in a packet: the most lately */
	int64_t                   now_ns;               /* of the call under way */
	int64_t                   moved_ns;             /* when the stream last moved on */
	int64_t                   behind_ns;            /* when the first came of the packets that have been late since ... */
	uint32_t                  behind_ts;            /* ... the stream moved on, and its timestamp */
	uint32_t                  behind;               /* how many these are by now */
	struct oh_came            came;                 /* sequence numbers */
	uint32_t                  quiet;                /* of the samples to make up, so many are the sender's own silence */
	struct oh_lead            lead;                 /* of the reader over our clock */
	int16_t                   pcm[OH_LISTEN_MAX_SAMPLES];
	struct oh_listen_slot     slots[OH_LISTEN_SLOTS];
};

/* Start a stream, of u-law: out, arg: where frames go; seed: of the comfort noise. */
void oh_listen_init(struct oh_listen *listen, oh_listen_out *out, void *arg, uint32_t seed);

/* Give back what its decoder holds. Closing twice is harmless. */
void oh_listen_close(struct oh_listen *listen);

/*
 * The codec changed by new signalling: packets from now on are for this decoder. What waits is decoded by the old one
 * first. `*decoder` is the old one afterwards, to be closed by who called.
 */
void oh_listen_codec(struct oh_listen *listen, struct oh_decoder *decoder);

/*
 * A packet arrived. Releases what can be released, through `out`.
 *   arrival_ns  CLOCK_MONOTONIC, never less than in an earlier call
 * 0; -EINVAL: refused and counted as bad (audio that no decoder would take, comfort noise of no bytes); -EALREADY:
 * a duplicate; -EPROTO: a lone jump, not believed yet.
 */
int oh_listen_put(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns);

/*
 * Time passed: release what has waited long enough, make up what did not come. Call every 20 ms (or more often: what
 * waits is released up to one interval after its time). Before the first packet nothing comes out.
 * After a pause of more than a second between calls at most one second is made up, the rest of the time is left out.
 */
void oh_listen_tick(struct oh_listen *listen, int64_t now_ns);

/*
 * When oh_listen_tick next has something to do if no packet comes, CLOCK_MONOTONIC; INT64_MAX before the first packet.
 */
int64_t oh_listen_due_ns(const struct oh_listen *listen);

/* True for what the reader hears: HEARD, CONCEALED, MISSING, COMFORT. */
static inline bool oh_listen_live(enum oh_listen_kind kind)
{
	return kind <= OH_COMFORT;
}

#endif
