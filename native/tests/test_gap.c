/* test_gap.c - whether to wait for a packet that was overtaken. */
#include "check.h"
#include "../src/gap.h"

#define MS 1000000ll

static struct oh_gaps gaps;

/* A gap of one packet, filled after so many ms; below 0: never. */
static void gap(uint16_t seq, int64_t after_ms)
{
	int64_t now_ns = seq * 1000 * MS;

	oh_gap_opens(&gaps, seq, 1, now_ns);
	if (after_ms >= 0)
		oh_gap_fills(&gaps, seq, now_ns + after_ms * MS);
}

/* The odds for the next gap, so long after it opened. */
static double odds(uint16_t seq, int64_t after_ms, int64_t within_ms)
{
	oh_gap_opens(&gaps, seq, 1, seq * 1000 * MS);
	return (double)oh_gap_odds(&gaps, seq, (seq * 1000 + after_ms) * MS, within_ms * MS, true);
}

static void the_first_gap_is_waited_for_where_the_network_is_restless_only(void)
{
	oh_gap_init(&gaps);
	gap(65535, -1);
	CHECK(oh_gap_odds(&gaps, 65535, 65535 * 1000 * MS, 40 * MS, true) > 0.3f);
	CHECK(oh_gap_odds(&gaps, 65535, 65535 * 1000 * MS, 40 * MS, false) <= 0.0f);
}

static void losses_teach_not_to_wait(void)
{
	oh_gap_init(&gaps);
	for (uint16_t i = 0; i < 4; i++)
		gap(i, -1);
	CHECK_BELOW(odds(4, 0, 80), 0.25);
}

static void late_packets_teach_to_wait_as_long_as_they_take(void)
{
	oh_gap_init(&gaps);
	for (uint16_t i = 0; i < 20; i++)
		gap(i, 35);
	CHECK(odds(20, 0, 40) > 0.8);
	CHECK_BELOW(odds(21, 0, 20), 0.2);
	CHECK_BELOW(odds(22, 60, 40), 0.2);
}

static void a_gap_that_is_not_known_is_not_waited_for(void)
{
	oh_gap_init(&gaps);
	for (uint16_t i = 0; i < 20; i++)
		gap(i, 35);
	CHECK(oh_gap_odds(&gaps, 30, 0, 40 * MS, true) <= 0.0f);
	oh_gap_forget(&gaps);
	CHECK(oh_gap_odds(&gaps, 19, 19000 * MS, 40 * MS, true) <= 0.0f);
	CHECK(odds(20, 0, 40) > 0.8); /* what was learnt stays */
}

int main(void)
{
	RUN(the_first_gap_is_waited_for_where_the_network_is_restless_only);
	RUN(losses_teach_not_to_wait);
	RUN(late_packets_teach_to_wait_as_long_as_they_take);
	RUN(a_gap_that_is_not_known_is_not_waited_for);
	return 0;
}
