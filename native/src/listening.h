/*
 * listening.h - what the two halves of oh_listen.h know of each other: listen.c decides which packet's turn it is,
 * listening.c makes sound of it, or of what is missing.
 */
#ifndef OH_LISTENING_H
#define OH_LISTENING_H

#include "oh_listen.h"
#include "oh_rtp.h"

/* A packet whose turn has come or will come, from the network or from a slot. */
struct oh_listen_item {
	const uint8_t         *payload;
	size_t                 len;       /* bytes of it */
	size_t                 samples;   /* audio in it, 0 where it carries none */
	enum oh_listen_content content;
	uint32_t               timestamp;
	uint16_t               seq;
};

/* Samples from b to a; towards 0 where a sender's timestamps lie between two of them. Ticks wrap, so they go first. */
static inline int64_t oh_listen_between(const struct oh_listen *listen, uint32_t a, uint32_t b)
{
	int32_t ticks = oh_ts_diff(a, b);

	return listen->ticks == 1 ? ticks : ticks / listen->ticks;
}

static inline int64_t oh_listen_ahead(const struct oh_listen *listen, uint32_t timestamp)
{
	return oh_listen_between(listen, timestamp, listen->next_ts);
}

/* Make up n samples (none where n is not positive); `chosen`: the sender is known to be silent there. */
void oh_listen_fill(struct oh_listen *listen, int64_t n, bool chosen);

/* Fill n samples that are missing before a packet, the last of them from its copy where it has one. */
void oh_listen_bridge(struct oh_listen *listen, const struct oh_listen_item *item, int64_t n);

/*
 * Release a packet: it continues the stream, or overlaps it, or lies ahead of it by a silence of the sender's
 * (samples that nothing is known to be missing from).
 */
void oh_listen_release(struct oh_listen *listen, const struct oh_listen_item *item);

#endif
