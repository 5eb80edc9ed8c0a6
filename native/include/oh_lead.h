/*
 * oh_lead.h - how far a stream has run ahead of our clock, and what its reader may be spared to catch up.
 *
 * A sender whose clock is faster than ours, or a path whose delay shrank for good, gives the reader more than it can
 * read. When the stream has been more than OH_LEAD_MS ahead of what the reader has adapted to for two seconds on end,
 * quiet packets are to be skipped until it no longer is; beyond OH_LEAD_MAX_MS any packet is. All is counted in nanoseconds
 * of sound, so that a stream may change its rate.
 */
#ifndef OH_LEAD_H
#define OH_LEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_LEAD_MS     120
#define OH_LEAD_MAX_MS 500

struct oh_lead {
	int64_t start_ns;  /* our clock at the stream's first sample ... */
	int64_t given;     /* ... and sound given to the reader since */
	int64_t least;     /* least lead ever: what the reader has adapted to */
	int64_t low;       /* least lead in this window */
	int64_t window_ns; /* when this window began */
	int64_t skip;      /* sound still to skip ... */
	bool    loud;      /* ... in any packet, not only in quiet ones */
	int32_t hush;      /* mean magnitude of the line's quiet, times 16 */
};

/* Start: nothing given, nothing to skip. */
void oh_lead_init(struct oh_lead *lead);

/* The stream begins, at now_ns (CLOCK_MONOTONIC), with a packet of length_ns. What is known of the line's quiet stays. */
void oh_lead_begin(struct oh_lead *lead, int64_t now_ns, int64_t length_ns);

/* The reader was given so much sound. */
static inline void oh_lead_gave(struct oh_lead *lead, int64_t length_ns)
{
	lead->given += length_ns;
}

/* A packet was released at now_ns: look how far ahead the reader is. */
void oh_lead_watch(struct oh_lead *lead, int64_t now_ns);

/* Shall the reader be spared these samples (n > 0, of one packet, length_ns long)? To be asked of every packet, once. */
bool oh_lead_skips(struct oh_lead *lead, const int16_t *pcm, size_t n, int64_t length_ns);

#endif
