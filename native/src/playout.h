/* playout.h - what the parts of the bridge path's buffer share: arrive.c puts packets in, sound.c holds what is ready,
 * playout.c plays. */
#ifndef PLAYOUT_H
#define PLAYOUT_H

#include "gap.h"
#include "oh_comfort.h"
#include "oh_delay.h"
#include "oh_expand.h"
#include "oh_playout.h"
#include "oh_came.h"
#include "waiting.h"

#define OH_PLAYOUT_RUNS   16u
#define OH_PLAYOUT_SOUND  7168u /* samples: what was played, what is ready, and a packet more */
#define OH_PLAYOUT_FASTS  2u
#define OH_PLAYOUT_FAR_NS 3000000000ll /* most that playing may be behind the newest arrivals */

enum oh_playout_source { OH_FROM_PACKET, OH_MADE_UP, OH_PUT_IN, OH_NOISE };

struct oh_playout_run { /* where samples that are ready come from */
	int64_t                arrival_ns; /* OH_FROM_PACKET only */
	uint32_t               n;
	enum oh_playout_source source;
};

struct oh_playout {
	struct oh_playout_counters counters;
	struct oh_decoder          decoder;
	struct oh_comfort          comfort;
	struct oh_expand           expand;
	struct oh_delay            delay;
	uint32_t                   rate_hz;
	uint32_t                   ticks;         /* of the RTP clock to a sample */
	int64_t                    sample_ns;

	/* arrivals */
	bool                       started;       /* a first packet came */
	bool                       again;         /* the next packet is of another stream ... */
	bool                       fresh;         /* ... and was found to be its first */
	bool                       jump_seen;     /* a packet far off came: its sequence number + 1 is jump_seq */
	uint16_t                   jump_seq;
	uint32_t                   top_ts;        /* highest timestamp */
	int64_t                    top_at;        /* its place */
	int32_t                    top_n;         /* samples of that packet */
	struct oh_came             came;          /* sequence numbers */
	int64_t                    fast_ns[OH_PLAYOUT_FASTS]; /* shortest transit of the last ten seconds, and those before */
	int64_t                    fast_from_ns;
	int64_t                    usual_ns;      /* mean transit */
	int32_t                    strays;        /* share of late that came out of order, of 2^24 */
	int64_t                    came_ns;       /* the last packet in order that did not come at once with the one before */
	int64_t                    took_ns;       /* its transit ... */
	int64_t                    unrest_ns;     /* ... and how far such transits are from each other on average */
	struct oh_gaps             gaps;
	int64_t                    newest_ns;     /* transit of the newest packet in order */

	/* pulls */
	int64_t                    get_ns;        /* the last one; INT64_MIN: none yet */
	int64_t                    given_ns;      /* sound that was given out at that moment */
	int64_t                    pull_ns;       /* from one moment to the next */

	/* playing */
	bool                       never;         /* nothing was played yet */
	int64_t                    end_at;        /* place of the sample behind what is ready */
	uint16_t                   next_seq;      /* of the packet that continues it */
	bool                       quiet;         /* the sender chose silence, or never spoke */
	bool                       dozes;         /* and the codec itself makes the noise of that */
	bool                       joint;         /* what comes next does not continue what is ready */
	bool                       made;          /* what is ready ends in sound that `expand` made */
	bool                       said;          /* the sender said how loud its noise is */
	uint32_t                   credit;        /* samples made up or put in because nothing was there */
	bool                       waited;        /* some of them were made up */
	bool                       copied;        /* ... from a copy of the packet that is not there */
	bool                       owing;         /* it was waited for a lost packet: that delay is given back at once */
	bool                       rested;        /* the pull before did not change the pace */
	uint32_t                   tries;         /* pulls that could not change it for want of likeness */
	int32_t                    floor;         /* level of the background, root mean square */
	struct oh_waiting          waiting;

	struct oh_playout_run      runs[OH_PLAYOUT_RUNS]; /* of what is ready, in order */
	uint32_t                   run_count;
	uint32_t                   at, end;       /* sound[at..end) is ready, what lies before was played */
	int16_t                    sound[OH_PLAYOUT_SOUND];
};

/* Samples that are ready. */
static inline uint32_t oh_sound_ready(const struct oh_playout *playout)
{
	return playout->end - playout->at;
}

/* n more samples lie behind what was ready. */
void oh_sound_add(struct oh_playout *playout, enum oh_playout_source source, uint32_t n, int64_t arrival_ns);

/* n samples were taken out, or put in, at the beginning of what is ready. */
void oh_sound_shorter(struct oh_playout *playout, uint32_t n);
void oh_sound_longer(struct oh_playout *playout, uint32_t n);

/* The first n are given out. */
void oh_sound_out(struct oh_playout *playout, uint32_t n, int64_t now_ns);

/* Make room behind what is ready, for a packet and what may be put in. */
void oh_sound_room(struct oh_playout *playout);

#endif
