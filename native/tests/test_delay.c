/* test_delay.c - the target delay: as short as the network allows, and learnt in time. */
#include "check.h"
#include "oh_delay.h"

#define MS 1000000ll

static struct oh_delay delay;

/* A packet of 20 ms that took so many ms, pulled at multiples of 20 ms. */
static void hear(int64_t transit_ms)
{
	int64_t usable_ms = (transit_ms + 19) / 20 * 20;

	oh_delay_heard(&delay, usable_ms * MS, usable_ms * MS, 20 * MS, 20 * MS);
}

static int64_t wise_ms(void)
{
	return oh_delay_wise_ns(&delay) / MS;
}

static void a_still_network_needs_what_a_packet_takes(void)
{
	oh_delay_init(&delay);
	for (int i = 0; i < 1000; i++) {
		hear(40);
		CHECK_INT(wise_ms(), 40);
	}
}

static void pulls_that_are_not_quite_punctual_cost_nothing(void)
{
	uint32_t state = 1;

	oh_delay_init(&delay);
	for (int i = 0; i < 3000; i++) {
		int64_t transit_ns = 40 * MS + noise(&state) % 500000;

		oh_delay_heard(&delay, transit_ns, transit_ns, 20 * MS, 20 * MS);
		CHECK(wise_ms() <= 40);
	}
}

static void a_lone_spike_is_forgotten_within_two_seconds(void)
{
	oh_delay_init(&delay);
	for (int i = 0; i < 1000; i++)
		hear(40);
	for (int i = 0; i < 15; i++)
		hear(340 - 20 * i);
	for (int i = 0; i < 100; i++)
		hear(40);
	CHECK_INT(wise_ms(), 40);
}

static void spikes_that_keep_coming_are_provided_for(void)
{
	int provided = 0;

	oh_delay_init(&delay);
	for (int i = 0; i < 6000; i++) {
		if (i % 60 == 59) {
			provided += i > 3000 && wise_ms() >= 100;
			hear(100);
		} else {
			hear(40);
		}
	}
	CHECK(provided >= 45); /* of 50 */
}

static void a_path_that_grew_longer_is_followed_at_once_and_a_shorter_one_soon(void)
{
	oh_delay_init(&delay);
	for (int i = 0; i < 500; i++)
		hear(40);
	hear(140);
	CHECK(wise_ms() >= 140);
	for (int i = 0; i < 1000; i++)
		hear(140);
	CHECK_INT(wise_ms(), 140);
	for (int i = 0; i < 450; i++)
		hear(40);
	CHECK_INT(wise_ms(), 40);
}

static void any_transits_are_survived(void)
{
	uint32_t state = 1;

	oh_delay_init(&delay);
	for (int i = 0; i < 200000; i++) {
		int64_t transit_ns = (int64_t)(int32_t)noise(&state) * (1ll << noise(&state) % 28);

		oh_delay_heard(&delay, transit_ns, transit_ns + noise(&state) % 3000000, 20 * MS, (1 + noise(&state) % 120) * MS);
		(void)wise_ms();
	}
	for (int i = 0; i < 1000; i++)
		hear(40);
	CHECK_INT(wise_ms(), 40);
}

int main(void)
{
	RUN(a_still_network_needs_what_a_packet_takes);
	RUN(pulls_that_are_not_quite_punctual_cost_nothing);
	RUN(a_lone_spike_is_forgotten_within_two_seconds);
	RUN(spikes_that_keep_coming_are_provided_for);
	RUN(a_path_that_grew_longer_is_followed_at_once_and_a_shorter_one_soon);
	RUN(any_transits_are_survived);
	return 0;
}
