/*
 * oh_voip.h - how packets were lost: bursts and gaps (RFC 3611 section 4.7.2), of one RTP stream.
 *
 * A packet is missed where it never came (lost) or came after its place had been filled (discarded). A burst begins and
 * ends with a missed packet and holds no OH_VOIP_GMIN received in a row; a single missed packet with so many received
 * on either side is no burst but belongs to the gap around it. All that is no burst is gap.
 *
 * What became of a packet is judged when OH_VOIP_WINDOW later ones are known of, so that those out of order count as
 * received: all figures are as of so many packets ago. Counted twice: since the stream began, as RFC 3611 reports it,
 * and since the last look, for whoever watches the line. Pure: no clock, no allocation, bounded work for any packet.
 */
#ifndef OH_VOIP_H
#define OH_VOIP_H

#include <stdbool.h>
#include <stdint.h>

#define OH_VOIP_GMIN   16u   /* packets received in a row that end a burst; what RFC 3611 4.7.2 recommends */
#define OH_VOIP_WINDOW 32u   /* packets whose fate is open */
#define OH_VOIP_JUMP   3000u /* a sequence number further off than this is another stream's (RFC 3550 A.1) */

struct oh_voip_counts {
	uint64_t packets;       /* that should have come */
	uint64_t lost;          /* never came */
	uint64_t discarded;     /* came too late */
	uint64_t runs;          /* of missed packets without one received between */
	uint64_t bursts;        /* bursts, */
	uint64_t burst_packets; /* packets in them, */
	uint64_t burst_missed;  /* and how many of these were missed */
	uint64_t gaps;          /* likewise */
	uint64_t gap_packets;
	uint64_t gap_missed;
};

struct oh_voip_figures {
	double lost;          /* 0..1 of the packets */
	double discarded;     /* 0..1 of the packets */
	double burst_density; /* 0..1 of the packets in bursts were missed; 0: no burst */
	double gap_density;   /* likewise in gaps */
	double burst_packets; /* mean length of a burst, packets; 0: no burst */
	double gap_packets;   /* likewise */
	double burst_ratio;   /* BurstR of G.107 (7-30): mean run of missed packets to that of random loss; 1: random, or none */
};

struct oh_voip_model {                  /* private */
	struct oh_voip_counts counts;
	uint64_t              missed;   /* of what may become a burst: missed so far (0: nothing may), */
	uint64_t              span;     /* from the first of them to the last, */
	uint64_t              good;     /* received since */
	bool                  missing;  /* the packet before was missed */
	bool                  in_gap;   /* the gap under way has been counted */
};

struct oh_voip {                        /* private; all zero is a stream that has not begun */
	struct oh_voip_model whole;     /* since the stream began */
	struct oh_voip_model lately;    /* since the last oh_voip_lately */
	uint32_t             ssrc;
	uint32_t             came;      /* bit i: packet top - i came */
	uint32_t             late;      /* bit i: and came too late */
	uint32_t             depth;     /* bits that stand for a packet */
	uint16_t             top;       /* highest sequence number seen */
	bool                 started;
};

/*
 * A packet of the stream arrived. One of another SSRC, or OH_VOIP_JUMP or more ahead or behind, is the first of another
 * stream, and nothing between is counted as lost. One that comes when its fate is sealed, or again, changes nothing.
 *   late  its place had been filled
 */
void oh_voip_heard(struct oh_voip *voip, uint32_t ssrc, uint16_t seq, bool late);

/* Since the stream began; what may become a burst counts as it stands. */
void oh_voip_whole(const struct oh_voip *voip, struct oh_voip_counts *out);

/* Since the last call of this; a burst that goes on is cut here in two. */
void oh_voip_lately(struct oh_voip *voip, struct oh_voip_counts *out);

/* What the counts come to; all 0 (and burst_ratio 1) where nothing was counted. */
void oh_voip_figures(const struct oh_voip_counts *counts, struct oh_voip_figures *out);

#endif
