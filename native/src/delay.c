/* delay.c - the target delay of the bridge path, by rules that compete. */
#include "oh_delay.h"

#include <string.h>

enum {
	NEVER = INT32_MIN / 2,
	FAR_US = 100000000,   /* transits further apart are not of one stream */
	FORGETS = 1024,       /* packets that the shortest transit is forgotten in */
	PACE = 4,             /* a rule changes its lag by a quarter of the sound that goes by */
};

/* What a rule pays, in milliseconds of delay to one packet. */
static const float late_cost = 1000.0f;      /* for a packet that comes too late ... */
static const float wait_cost = 230.0f;       /* ... and for each ms that it is waited for, up to ... */
static const int32_t wait_most_us = 1000000; /* ... so many */
static const float pace_cost = 60.0f;        /* for each ms that the lag changes */
static const float far_cost = 1.2f;          /* for each ms more of the delay that is above ... */
static const int32_t far_us = 100000;        /* ... so much: people begin to talk into each other */
static const float switch_cost = 20.0f;      /* for each ms that another rule would change at once */
static const float memory = 1.0007f;         /* what was paid is worth half after a thousand packets: 20 s */

static const int32_t window_us[OH_DELAY_WINDOWS] = { 200000, 500000, 1000000, 2000000, 4000000, 8000000 };

static int32_t larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static int32_t smaller(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

void oh_delay_init(struct oh_delay *delay)
{
	memset(delay, 0, sizeof(*delay));
	delay->worth = 1.0f;
	delay->rule = OH_DELAY_WAYS * 2; /* a second, nothing to spare */
}

static void start(struct oh_delay *delay, int64_t transit_ns)
{
	delay->started = true;
	delay->origin_ns = transit_ns;
	delay->fast = 0;
	for (unsigned w = 0; w < OH_DELAY_WINDOWS; w++) {
		struct oh_delay_window *window = &delay->windows[w];

		for (unsigned i = 0; i < OH_DELAY_PARTS; i++)
			window->parts[i] = NEVER;
		window->past = NEVER;
		window->older = window->second = window->part = NEVER;
		window->newest = true;
		window->heard_us = 0;
	}
	for (unsigned rule = 0; rule < OH_DELAY_RULES; rule++)
		delay->lag[rule] = 0;
}

/* A part of a window is over. */
static void next_part(struct oh_delay_window *window)
{
	int32_t *parts = window->parts;
	unsigned worst = 0;

	memmove(parts + 1, parts, (OH_DELAY_PARTS - 1) * sizeof(*parts));
	parts[0] = window->part;
	window->older = window->second = window->part = NEVER;
	window->heard_us = 0;
	for (unsigned i = 1; i < OH_DELAY_PARTS; i++) {
		worst = parts[i] > parts[worst] ? i : worst;
		window->older = larger(window->older, parts[i]);
	}
	window->past = parts[worst];
	window->newest = worst == 0;
	for (unsigned i = 0; i < OH_DELAY_PARTS; i++)
		if (i + 1 < worst || i > worst + 1)
			window->second = larger(window->second, parts[i]);
}

/*
 * A transit within the window: the largest now.
 *   second  the largest without the part that holds that one, and those beside it: a spike may lie in two
 */
static int32_t most_of(struct oh_delay_window *window, int32_t transit, int32_t packet_us, int32_t length_us,
                       int32_t *second)
{
	int32_t part = window->part = larger(window->part, transit);
	int32_t most = larger(window->past, part);

	*second = part >= window->past ? window->older : window->newest ? window->second : larger(window->second, part);
	if (*second == NEVER)
		*second = most;
	window->heard_us += packet_us;
	if (window->heard_us >= length_us / (int32_t)OH_DELAY_PARTS)
		next_part(window);
	return most;
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
		int32_t waited = transit > lags[rule] ? transit - lags[rule] : 0;
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
	for (unsigned w = 0; w < OH_DELAY_WINDOWS; w++) {
		int32_t *of = aims + w * OH_DELAY_WAYS;

		of[0] = most_of(&delay->windows[w], guarded, packet_us, window_us[w], &of[2]);
		of[1] = of[0] + spare;
		of[3] = of[2] + spare;
	}
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
