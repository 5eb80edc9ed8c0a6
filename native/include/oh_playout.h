/*
 * oh_playout.h - the bridge path's buffer: packets of one stream in as they arrive, sound to play out at a steady pull.
 *
 * A person listens to this one, so it trades delay against gaps. Packets are kept encoded until they are played:
 *   - How long they are kept is learnt from arrivals (oh_delay.h): as long as the worst of a recent past whose length is
 *     learnt too. So a lone spike is forgotten in a second, and swarms of them are provided for.
 *   - The pace changes by whole pitch periods (oh_stretch.h), between words where that can wait: faster when more is kept
 *     than is wise, slower when less, and slower also while a packet that should be there is not.
 *   - Where nothing is there to be played the voice goes on (oh_expand.h), fading into the noise of the place. Nothing is
 *     given up meanwhile: what comes late is played after all, and the delay that it brought is taken back by a faster
 *     pace. Where a later packet shows that one was lost, what was made up stands in its place, sample for sample: a
 *     loss leaves no delay behind.
 *   - Whether a packet is lost or was only overtaken is learnt from the stream: where the odds are fair that it comes
 *     yet, some 40 ms more are spent on it, and given back at once if it does not come.
 *   - A silence that the sender chose (comfort noise of RFC 3389, or a timestamp that jumps while the sequence numbers
 *     go on) is noise of the level that the sender said, or of the background heard before; its length is free, so what
 *     is said after it is delayed no more than is wise at that moment.
 *   - After a stall that leaves playing more than three seconds behind, what is too old is left out.
 *   - A sender's clock that is faster or slower than ours is but a slow change of the network.
 *
 * A new stream (oh_playout_restart), a timestamp that goes back or far ahead while the sequence numbers go on, and two
 * packets in a row far off by their sequence numbers start again; what was learnt of the network stays.
 *
 * Bounded: OH_PLAYOUT_BYTES and what the decoder holds, from open to close; at most 200 packets wait, of 32,000 bytes in
 * all, the oldest making room. One thread at a time; put and get never allocate, lock or wait.
 */
#ifndef OH_PLAYOUT_H
#define OH_PLAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_codec.h"

#define OH_PLAYOUT_BYTES 65536u

struct oh_playout_packet {
	const uint8_t *payload;   /* copied */
	size_t         len;       /* bytes; 0: holds no sound (digits), but takes a sequence number: the sender is silent */
	uint32_t       timestamp; /* RTP timestamp, in ticks of the codec's clock */
	uint16_t       seq;
	bool           comfort;   /* a comfort noise packet (RFC 3389): first byte is the level in -dBov */
};

struct oh_playout_counters {
	uint64_t packets;           /* taken: neither bad nor duplicate */
	uint64_t bad;               /* refused: empty, too long, or not of the codec */
	uint64_t duplicate;         /* came again */
	uint64_t reordered;         /* came after a later one */
	uint64_t late;              /* came after their place had been played: never heard */
	uint64_t overdue;           /* heard, but sound was made up before because they were not there when due */
	uint64_t lost;              /* had not come by the time their place was played; a late one counts back */
	uint64_t discarded;         /* came in time and were left out: the buffer was full, or the stream jumped */
	uint64_t restarts;          /* of the stream: jumps and oh_playout_restart */
	uint64_t played_samples;    /* given out in all */
	uint64_t concealed_samples; /* of these: made up for packets that were not there */
	uint64_t comfort_samples;   /* of these: noise, where the sender was silent or had nothing to say yet */
	uint64_t inserted_samples;  /* of these: put in to slow down */
	uint64_t removed_samples;   /* left out to speed up */
	uint64_t heard_samples;     /* of played ones: from packets ... */
	uint64_t delay_us;          /* ... and the sum, over these, of the time between the packet's arrival and the pull that
	                             * gave them out: delay_us / heard_samples is the mean delay */
};

struct oh_playout;

/*
 * Start a stream; any thread.
 *   codec  what its audio packets hold; seed: of the comfort noise
 * 0; -ENOMEM.
 */
int oh_playout_open(struct oh_playout **playout, enum oh_codec codec, uint32_t seed);

/* Give everything back. NULL is harmless. */
void oh_playout_close(struct oh_playout *playout);

/*
 * A packet arrived: call this for each, in the order of arrival, with nothing put in order before.
 *   arrival_ns  CLOCK_MONOTONIC, never less than in an earlier call
 * 0; -EBADMSG: refused (counted as bad).
 */
int oh_playout_put(struct oh_playout *playout, const struct oh_playout_packet *packet, int64_t arrival_ns);

/*
 * The next n samples to play; always all of them.
 *   n       a multiple of 10 ms at the codec's rate
 *   now_ns  CLOCK_MONOTONIC, never less than in an earlier call; the same where one moment's sound is asked for in pieces
 */
void oh_playout_get(struct oh_playout *playout, int16_t *out, size_t n, int64_t now_ns);

/* The packets from now on are of another stream (SSRC) of the same codec; those that wait are forgotten. */
void oh_playout_restart(struct oh_playout *playout);

/* What happened so far; valid as long as the playout is. */
const struct oh_playout_counters *oh_playout_counters(const struct oh_playout *playout);

/* How long the sound that is given out next will have waited if it took as long as usual to come, and what is wise, ms. */
int32_t oh_playout_delay_ms(const struct oh_playout *playout);
int32_t oh_playout_target_ms(const struct oh_playout *playout);

#endif
