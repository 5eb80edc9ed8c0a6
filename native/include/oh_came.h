/*
 * oh_came.h - which of a stream's last 128 sequence numbers have come: tells a packet from its duplicate.
 */
#ifndef OH_CAME_H
#define OH_CAME_H

#include <stdbool.h>
#include <stdint.h>

#include "oh_rtp.h"

#define OH_CAME 128 /* sequence numbers remembered */

struct oh_came {
	uint64_t bits[2]; /* bit i: sequence number top - i has come */
	uint16_t top;     /* the highest */
};

/* None has come; those above `top` are new ones. */
static inline void oh_came_init(struct oh_came *came, uint16_t top)
{
	*came = (struct oh_came){ { 0, 0 }, top };
}

/* How far a sequence number is ahead of the highest; 0 or less: it comes behind a later one, or again. */
static inline int oh_came_ahead(const struct oh_came *came, uint16_t seq)
{
	return oh_seq_diff(seq, came->top);
}

/* Note a sequence number: true the first time that it comes, and where it is too old to be known. */
static inline bool oh_came_take(struct oh_came *came, uint16_t seq)
{
	int ahead = oh_came_ahead(came, seq);

	if (ahead >= OH_CAME)
		came->bits[0] = came->bits[1] = 0;
	for (; ahead > 0 && ahead < OH_CAME; ahead -= 63) { /* 128 bits are shifted by 63 at most at a time */
		int by = ahead < 63 ? ahead : 63;

		came->bits[1] = came->bits[1] << by | came->bits[0] >> (64 - by);
		came->bits[0] <<= by;
	}
	if (oh_came_ahead(came, seq) > 0)
		came->top = seq;

	unsigned back = (unsigned)-oh_came_ahead(came, seq);

	if (back >= OH_CAME)
		return true;

	uint64_t bit = 1ull << (back % 64);
	bool     first = !(came->bits[back / 64] & bit);

	came->bits[back / 64] |= bit;
	return first;
}

#endif
