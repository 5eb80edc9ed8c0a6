/*
 * oh_delay.h - how long to keep packets before they are played: the bridge path's target delay, learnt from arrivals.
 *
 * A packet's transit is the moment of the first pull that finds it there, less its place on the sender's timeline (the
 * zero of which is anyone's): sound played at a lag of no less than that, from the sender's timeline to ours, finds the
 * packet there. So a wise lag is the most of the coming transits, and never more: since transits end at pulls, they
 * are few values, and whatever lies between two of them is delay that buys nothing.
 *
 * What comes is like what came, but nobody knows for how long back. So several rules play the stream at the same time,
 * on paper: each keeps to the largest transit of its own window, from 0.2 s to 8 s, or to the largest when the window's
 * worst part is left out, some with a pull to spare. Each pays for its delay, the more where it is long, for every packet
 * that comes too late for it, and for every change of pace. The rule that paid least of late is the one in force, if that
 * is worth the change. On a network with lone spikes a short memory wins at once, or one that leaves them out; where
 * spikes come in swarms, a long one does; on a still one the smallest does.
 *
 * One thread; no allocation.
 */
#ifndef OH_DELAY_H
#define OH_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define OH_DELAY_WINDOWS 6u /* lengths of memory */
#define OH_DELAY_WAYS    4u /* for each: all of it, and without its worst; with nothing, and with a pull to spare */
#define OH_DELAY_RULES   (OH_DELAY_WINDOWS * OH_DELAY_WAYS)
#define OH_DELAY_PARTS   5u /* of a window: it forgets a part at a time */

struct oh_delay_window {
	int32_t parts[OH_DELAY_PARTS]; /* largest transit of each earlier part, us */
	int32_t past;                  /* the most of these ... */
	int32_t older;                 /* of all but the newest */
	int32_t second;                /* of those not beside the worst ... */
	bool    newest;                /* ... which is the newest */
	int32_t part;                  /* of the part under way */
	int32_t heard_us;              /* how much of it has gone by */
};

struct oh_delay {
	int64_t                origin_ns;            /* transits are kept relative to it */
	struct oh_delay_window windows[OH_DELAY_WINDOWS];
	int32_t                fast;                 /* the shortest transit of late, us */
	int32_t                lag[OH_DELAY_RULES];  /* that each rule now plays at, us */
	float                  paid[OH_DELAY_RULES]; /* of late */
	float                  worth;                /* weight of what is paid now */
	uint32_t               rule;                 /* in force */
	int32_t                wise;                 /* its answer, us */
	bool                   started;
};

/* Forget all. */
void oh_delay_init(struct oh_delay *delay);

/*
 * A packet arrived.
 *   transit_ns  as above, by the packet's real arrival
 *   guarded_ns  the same for a packet that had come a little later: what should be provided for. Never less.
 *   spare_ns    between pulls
 *   packet_ns   how much sound it holds
 */
void oh_delay_heard(struct oh_delay *delay, int64_t transit_ns, int64_t guarded_ns, int64_t spare_ns, int64_t packet_ns);

/* The lag to play at, ns; only after a packet was heard. */
int64_t oh_delay_wise_ns(const struct oh_delay *delay);

#endif
