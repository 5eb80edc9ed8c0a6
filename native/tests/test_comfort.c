/* test_comfort.c - comfort noise: its level, its softness, and that a seed decides it. */
#include <math.h>

#include "check.h"
#include "oh_comfort.h"

static int16_t pcm[16000];

static double level_of(unsigned minus_dbov)
{
	struct oh_comfort comfort;
	double            sum = 0;

	oh_comfort_init(&comfort, 1);
	oh_comfort_level(&comfort, minus_dbov);
	oh_comfort_fill(&comfort, pcm, 16000);
	for (int i = 0; i < 16000; i++)
		sum += (double)pcm[i] * pcm[i];
	return 10 * log10(sum / 16000 / 32768 / 32768);
}

static void the_level_is_what_was_asked_within_half_a_decibel(void)
{
	for (unsigned level = 40; level <= 78; level++)
		CHECK_BELOW(fabs(level_of(level) + level), 0.5);
}

static void nobody_can_ask_for_loud_noise(void)
{
	CHECK_BELOW(fabs(level_of(0) + 40), 0.5);
	CHECK_BELOW(level_of(127), -90);
	CHECK_BELOW(level_of(4000000000u), -90);
}

static void the_same_seed_makes_the_same_noise_in_any_blocks(void)
{
	struct oh_comfort a, b, c;
	int16_t           parts[800], whole[800], other[800];

	oh_comfort_init(&a, 7);
	oh_comfort_init(&b, 7);
	oh_comfort_init(&c, 8);
	oh_comfort_fill(&a, whole, 800);
	for (size_t at = 0; at < 800; at += 80)
		oh_comfort_fill(&b, parts + at, 80);
	oh_comfort_fill(&c, other, 800);
	CHECK(memcmp(whole, parts, sizeof(whole)) == 0);
	CHECK(memcmp(whole, other, sizeof(whole)) != 0);
}

static void the_noise_is_softer_at_the_top(void)
{
	struct oh_comfort comfort;
	double            low = 0, high = 0;

	oh_comfort_init(&comfort, 3);
	oh_comfort_level(&comfort, 40);
	oh_comfort_fill(&comfort, pcm, 16000);
	for (int i = 1; i < 16000; i++) {
		low += pow((pcm[i] + pcm[i - 1]) / 2.0, 2);
		high += pow((pcm[i] - pcm[i - 1]) / 2.0, 2);
	}
	CHECK_BELOW(high, low / 2);
}

int main(void)
{
	RUN(the_level_is_what_was_asked_within_half_a_decibel);
	RUN(nobody_can_ask_for_loud_noise);
	RUN(the_same_seed_makes_the_same_noise_in_any_blocks);
	RUN(the_noise_is_softer_at_the_top);
	return 0;
}
