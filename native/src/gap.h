/*
 * gap.h - whether to wait for a packet that later ones have overtaken, learnt from the stream.
 *
 * Sequence numbers that are missing when a later one comes are a gap. Some gaps are filled after all, the others are
 * losses. How many, and how late, is counted over the last ten or so; that tells how likely one is to be filled soon that
 * has been open for so long. Of a stream with few gaps so far its jitter tells: packets that all take the same time do not
 * overtake each other.
 */
#ifndef GAP_H
#define GAP_H

#include <stdbool.h>
#include <stdint.h>

#define OH_GAP_OPEN  8u /* gaps watched at a time */
#define OH_GAP_STEPS 8u /* of time, OH_GAP_STEP_NS each: what is filled later counts as lost */
#define OH_GAP_STEP_NS 10000000ll

struct oh_gap {
	int64_t  since_ns; /* arrival of the packet behind it */
	uint16_t from, n;  /* sequence numbers: the first, how many; 0: none */
	bool     filled;   /* some of it came */
};

struct oh_gaps {
	struct oh_gap open[OH_GAP_OPEN];
	uint32_t      next;                 /* of them to be taken anew */
	float         seen;                 /* gaps of late ... */
	float         filled[OH_GAP_STEPS]; /* ... and of these, filled so long after they opened */
	float         hope;                 /* what is left of the belief before the first one */
};

void oh_gap_init(struct oh_gaps *gaps);

/* The open ones are of another stream; what was learnt of the network stays true. */
void oh_gap_forget(struct oh_gaps *gaps);

/* n packets, `from` the first of them, are missing before one that came now. */
void oh_gap_opens(struct oh_gaps *gaps, uint16_t from, uint16_t n, int64_t now_ns);

/* A packet came behind later ones. */
void oh_gap_fills(struct oh_gaps *gaps, uint16_t seq, int64_t now_ns);

/*
 * How likely the gap that holds `seq`, and is open yet, is filled within so long from now: 0..1. 0 where it is not known.
 *   restless  the packets of this stream take now more, now less time
 */
float oh_gap_odds(const struct oh_gaps *gaps, uint16_t seq, int64_t now_ns, int64_t within_ns, bool restless);

#endif
