/* delay.c - the target delay of the bridge path, by rules that compete. */
#include "oh_delay.h"

#include <string.h>

enum {
	FAR_US = 100000000,   /* transits further apart are not of one stream */
	FORGETS = 1024,       /* packets that the shortest transit is forgotten in */
	GRACE_US = 2000,      /* pulls are that punctual: what is later by less finds its pull all the same */
	PACE = 4,             /* a rule changes its lag by a quarter of the sound that goes by */
};

/* What a rule pays, in milliseconds of delay to one packet. */
static const float late_cost = 1000.0f;      /* for a packet that comes too late ... */
static const float wait_cost = 230.0f;       /* ... and for each ms that it is waited for, up to ... */
static const int32_t wait_most_us = 1000000; /* ... so many */
static const float pace_cost = 30.0f;        /* for each ms that the lag changes */
static const float far_cost = 2.0f;          /* for each ms more of the delay that is above ... */
static const int32_t far_us = 250000;        /* ... so much: people begin to talk into each other */
static const float switch_cost = 20.0f;      /* for each ms that another rule would change at once */
static const float memory = 1.0007f;         /* what was paid is worth half after a thousand packets: 20 s */

/* What is remembered fades the sooner the larger it is: with these time constants where it is small ... */
static const float fades_us[OH_DELAY_TIMES] = { 125e3f, 250e3f, 500e3f, 1e6f, 2e6f, 4e6f, 8e6f, 16e6f, 32e6f };
static const float large_us = 40000.0f; /* ... and in half the time where it is so much above the shortest transit */

static int32_t smaller(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

void oh_delay_init(struct oh_delay *delay)
{
	memset(delay, 0, sizeof(*delay));
	delay->worth = 1.0f;
	delay->rule = 2; /* half a second, with nothing to spare */
}

static void start(struct oh_delay *delay, int64_t transit_ns)
{
	delay->started = true;
	delay->origin_ns = transit_ns;
	delay->fast = 0;
	for (unsigned i = 0; i < OH_DELAY_TIMES; i++)
		delay->peak[i] = 0.0f;
	for (unsigned rule = 0; rule < OH_DELAY_RULES; rule++)
		delay->lag[rule] = 0;
}

static int32_t divisor(int32_t a, int32_t b)
{
	while (b > 0) {
		int32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * What each rule aims at after this transit. Transits are whole steps apart, since packets leave and pulls come in
 * steps, so the peak counts as the nearest of these: between two of them more delay buys nothing.
 */
static void aim(struct oh_delay *delay, int32_t *aims, int32_t transit, int32_t spare, int32_t packet_us)
{
	float   fast = (float)delay->fast, now = (float)transit, passed = (float)packet_us;
	int32_t step = divisor(spare, packet_us);

	for (unsigned i = 0; i < OH_DELAY_TIMES; i++) {
		float above = delay->peak[i] - fast, part = passed * (1.0f + above / large_us);
		float peak = delay->peak[i] - above * part / (fades_us[i] + part);

		peak = peak > now ? peak : now;
		delay->peak[i] = peak;
		aims[i] = transit + (int32_t)((peak - now) / (float)step + 0.5f) * step;
		aims[OH_DELAY_TIMES + i] = aims[i] + spare;
	}
}

/*
 * What each rule pays for one packet, its delay counted from `base` on, and where that leaves it. One loop without
 * branches, for it runs with every packet.
 */
static void pay(struct oh_delay *delay, const int32_t *aims, int32_t transit, int32_t base, int32_t pace)
{
	int32_t *lags = delay->lag, far = delay->fast + far_us;
	float   *paid = delay->paid, worth = delay->worth;

	for (unsigned rule = 0; rule < OH_DELAY_RULES; rule++) {
		int32_t waited = transit > lags[rule] + GRACE_US ? transit - lags[rule] : 0;
		int32_t lag = lags[rule] + waited, aim = aims[rule];
		int32_t down = lag - pace > aim ? lag - pace : aim, up = lag + pace < aim ? lag + pace : aim;
		int32_t then = lag > aim ? down : up, change = then > lag ? then - lag : lag - then;
		float   waited_us = (float)(waited < wait_most_us ? waited : wait_most_us);
		float   far_us_more = (float)(lag > far ? lag - far : 0);

		lags[rule] = then;
		paid[rule] += worth * ((waited > 0 ? late_cost : 0.0f) + wait_cost / 1000.0f * waited_us +
		                       (float)(lag - base) / 1000.0f + far_cost / 1000.0f * far_us_more +
		                       pace_cost / 1000.0f * (float)change);
	}
}

/* The rule that is cheapest, the change from the one in force paid. */
static uint32_t cheapest(const struct oh_delay *delay, const int32_t *aims)
{
	uint32_t best = delay->rule;
	int32_t  now = aims[best];
	float    least = delay->paid[best], price = delay->worth * switch_cost / 1000.0f;

	for (unsigned rule = 0; rule < OH_DELAY_RULES; rule++) {
		float change = (float)(aims[rule] > now ? aims[rule] - now : now - aims[rule]);
		float paid = delay->paid[rule] + price * change;

		best = paid < least ? rule : best;
		least = paid < least ? paid : least;
	}
	return best;
}

/* Keep what was paid in floats' range. */
static void settle(struct oh_delay *delay)
{
	float least = delay->paid[delay->rule];

	for (unsigned rule = 0; rule < OH_DELAY_RULES; rule++)
		delay->paid[rule] = (delay->paid[rule] - least) / delay->worth;
	delay->worth = 1.0f;
}

void oh_delay_heard(struct oh_delay *delay, int64_t transit_ns, int64_t guarded_ns, int64_t spare_ns, int64_t packet_ns)
{
	int64_t past_us = (transit_ns - delay->origin_ns) / 1000;

	if (!delay->started || past_us > FAR_US || past_us < -FAR_US)
		start(delay, transit_ns);

	int32_t transit = (int32_t)((transit_ns - delay->origin_ns) / 1000);
	int32_t guarded = (int32_t)((guarded_ns - delay->origin_ns) / 1000);
	int32_t packet_us = (int32_t)(packet_ns / 1000), pace = packet_us / PACE;
	int32_t spare = (int32_t)(spare_ns / 1000);
	int32_t aims[OH_DELAY_RULES];

	/* a growing weight for what is paid now is a shrinking one for all that was paid before */
	delay->worth *= memory;
	aim(delay, aims, guarded, spare, packet_us);
	delay->fast = smaller(transit, delay->fast + (transit - delay->fast) / FORGETS);
	pay(delay, aims, transit, aims[0], pace);
	delay->rule = cheapest(delay, aims);
	delay->wise = aims[delay->rule];
	if (delay->worth > 1000.0f)
		settle(delay);
}

int64_t oh_delay_wise_ns(const struct oh_delay *delay)
{
	return delay->origin_ns + (int64_t)delay->wise * 1000;
}
