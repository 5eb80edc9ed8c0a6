/*
 * oh_delay.h - how long to keep packets before they are played: the bridge path's target delay, learnt from arrivals.
 *
 * A packet's transit is the moment of the first pull that finds it there, less its place on the sender's timeline (the
 * zero of which is anyone's): sound played at a lag of no less than that, from the sender's timeline to ours, finds the
 * packet there. So a wise lag is the most of the coming transits, and never more: since transits end at pulls, they
 * are few values, and whatever lies between two of them is delay that buys nothing.
 *
 * What comes is like what came, but nobody knows for how long back. So several rules play the stream at the same time,
 * on paper: each keeps to the largest transit that it remembers, which fades towards the shortest one of late, with a
 * time constant from an eighth of a second to half a minute, and the sooner the larger it is, so that a lone spike does
 * not undo what was learnt of the small ones; and for each time constant one more keeps a pull to spare.
 * Each pays for its delay, the more where it is long, for every packet that comes too late for it, and for every change
 * of pace. The rule that paid least of late is the one in force, if that is worth the change. On a network with lone
 * spikes a short memory wins at once; where spikes come in swarms, a long one does; on a still one all are the same.
 *
 * One thread; no allocation.
 */
#ifndef OH_DELAY_H
#define OH_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define OH_DELAY_TIMES 9u /* time constants */
#define OH_DELAY_RULES (2u * OH_DELAY_TIMES) /* with nothing to spare, and with a pull */

struct oh_delay {
	int64_t  origin_ns;            /* transits are kept relative to it */
	float    peak[OH_DELAY_TIMES]; /* the largest transit, fading, us */
	int32_t  fast;                 /* the shortest transit of late, us */
	int32_t  lag[OH_DELAY_RULES];  /* that each rule now plays at, us */
	float    paid[OH_DELAY_RULES]; /* of late */
	float    worth;                /* weight of what is paid now */
	uint32_t rule;                 /* in force */
	int32_t  wise;                 /* its answer, us */
	bool     started;
};

/* Forget all. */
void oh_delay_init(struct oh_delay *delay);

/*
 * A packet arrived.
 *   transit_ns  as above, by the packet's real arrival
 *   guarded_ns  the same for a packet that had come a little later: what should be provided for. Never less.
 *   spare_ns    between pulls, above 0
 *   packet_ns   how much sound it holds: above 0
 */
void oh_delay_heard(struct oh_delay *delay, int64_t transit_ns, int64_t guarded_ns, int64_t spare_ns, int64_t packet_ns);

/* The lag to play at, ns; only after a packet was heard. */
int64_t oh_delay_wise_ns(const struct oh_delay *delay);

#endif
