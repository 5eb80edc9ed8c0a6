/* test_stretch.c - overlap and add: whole periods go and come, pitch stays, quiet takes any amount, nothing clicks. */
#include <math.h>

#include "check.h"
#include "oh_expand.h"
#include "oh_stretch.h"

enum { ROOM = 4000, BEFORE = 1000 };

static int16_t sound[ROOM];

/* A voice of this pitch. */
static void speak(double hz, uint32_t rate_hz)
{
	for (int i = 0; i < ROOM; i++) {
		double t = 2 * M_PI * hz * i / rate_hz;

		sound[i] = (int16_t)(6000 * sin(t) + 3000 * sin(2 * t + 1) + 1500 * sin(3 * t + 2));
	}
}

/* How far x is from a voice that goes on from y: the root of the mean square of what differs. */
static double differs(const int16_t *x, const int16_t *y, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += pow(x[i] - y[i], 2);
	return sqrt(sum / (double)n);
}

static int largest_step(const int16_t *x, size_t n)
{
	int largest = 0;

	for (size_t i = 1; i < n; i++)
		if (abs(x[i] - x[i - 1]) > largest)
			largest = abs(x[i] - x[i - 1]);
	return largest;
}

static void whole_periods_are_taken_out_of_a_voice(void)
{
	for (uint32_t rate_hz = 8000; rate_hz <= 16000; rate_hz += 8000) {
		for (double hz = 80; hz < 380; hz += 13) {
			size_t n = rate_hz / 25, by; /* 40 ms */
			double period = rate_hz / hz;

			speak(hz, rate_hz);

			int step = largest_step(sound, ROOM);

			by = oh_stretch_shorten(sound + BEFORE, n, rate_hz, n, 50, 0.8f);
			CHECK(by > 0);
			CHECK_BELOW(fabs((double)by / period - round((double)by / period)), 0.7 / period * 2);
			CHECK_BELOW(largest_step(sound, BEFORE + n - by), 1.15 * step);
		}
	}
}

static void whole_periods_are_put_into_a_voice(void)
{
	for (uint32_t rate_hz = 8000; rate_hz <= 16000; rate_hz += 8000) {
		for (double hz = 80; hz < 380; hz += 13) {
			size_t  n = rate_hz / 50, by; /* 20 ms */
			double  period = rate_hz / hz;
			int16_t before[ROOM];

			speak(hz, rate_hz);
			memcpy(before, sound, sizeof(before));

			int step = largest_step(sound, ROOM);

			by = oh_stretch_lengthen(sound + BEFORE, n, rate_hz, n, 50, 0.8f);
			CHECK(by > 0);
			CHECK_BELOW(fabs((double)by / period - round((double)by / period)), 0.7 / period * 2);
			CHECK(memcmp(sound, before, BEFORE * sizeof(*sound)) == 0);
			CHECK(memcmp(sound + BEFORE + by, before + BEFORE, n * sizeof(*sound)) == 0);
			CHECK_BELOW(largest_step(sound, BEFORE + n + by), 1.15 * step);
		}
	}
}

static void what_is_asked_for_is_never_passed(void)
{
	for (size_t most = 0; most <= 160; most += 5) {
		speak(200, 8000);
		CHECK(oh_stretch_shorten(sound + BEFORE, 320, 8000, most, 50, -1.0f) <= most);
		speak(200, 8000);
		CHECK(oh_stretch_lengthen(sound + BEFORE, 320, 8000, most, 50, -1.0f) <= most);
	}
}

static void noise_is_no_voice_but_quiet_noise_takes_any_amount(void)
{
	uint32_t state = 5;

	for (int i = 0; i < ROOM; i++)
		sound[i] = (int16_t)((int)(noise(&state) % 8000) - 4000);
	CHECK_INT(oh_stretch_shorten(sound + BEFORE, 320, 8000, 100, 50, 0.7f), 0);
	CHECK_INT(oh_stretch_lengthen(sound + BEFORE, 320, 8000, 100, 50, 0.7f), 0);
	for (int i = 0; i < ROOM; i++)
		sound[i] = (int16_t)(sound[i] / 128);
	CHECK_INT(oh_stretch_shorten(sound + BEFORE, 320, 8000, 77, 50, 0.7f), 77);
	CHECK_INT(oh_stretch_lengthen(sound + BEFORE, 320, 8000, 77, 50, 0.7f), 77);
}

static void the_loudest_sound_overflows_nothing(void)
{
	for (int i = 0; i < ROOM; i++)
		sound[i] = i / 40 % 2 ? INT16_MIN : INT16_MAX;

	float alike;

	CHECK_INT(oh_stretch_lag(sound + BEFORE, true, 320, 40, 240, &alike) % 80, 0);
	CHECK(alike > 0.99f);
	CHECK_INT(oh_stretch_level(sound, 800), 32767);
}

static void a_voice_goes_on_in_step_at_both_rates(void)
{
	for (uint32_t rate_hz = 8000; rate_hz <= 16000; rate_hz += 8000) {
		for (double hz = 70; hz <= 390; hz += 10) {
			struct oh_expand expand;
			struct oh_comfort comfort;
			int16_t          made[160];
			size_t           n = rate_hz / 100;

			speak(hz, rate_hz);
			oh_comfort_init(&comfort, 1);
			oh_expand_begin(&expand, sound + BEFORE, rate_hz);
			oh_expand_make(&expand, &comfort, made, n);
			CHECK_BELOW(differs(made, sound + BEFORE, n), 0.25 * 4860);
		}
	}
}

static void a_voice_fades_and_leaves_the_noise(void)
{
	struct oh_expand  expand;
	struct oh_comfort comfort;
	int16_t           made[1200];
	double            last = 1e9;

	speak(125, 8000);
	oh_comfort_init(&comfort, 1);
	oh_expand_begin(&expand, sound + BEFORE, 8000);
	oh_expand_make(&expand, &comfort, made, 1200);
	for (int at = 0; at < 880; at += 160) {
		double level = oh_stretch_level(made + at, 128);

		CHECK_BELOW(level, last);
		last = level;
	}
	CHECK_BELOW(oh_stretch_level(made + 960, 240), 30);
	CHECK(oh_stretch_level(made + 960, 240) > 5);
}

static void a_voice_that_was_dying_dies_on(void)
{
	struct oh_expand  expand;
	struct oh_comfort comfort;
	int16_t           made[160];

	speak(125, 8000);
	for (int i = 0; i < BEFORE; i++)
		sound[i] = (int16_t)(sound[i] * exp((double)(BEFORE - i) / 200 - 5));
	oh_comfort_init(&comfort, 1);
	oh_expand_begin(&expand, sound + BEFORE, 8000);
	oh_expand_make(&expand, &comfort, made, 160);
	CHECK_BELOW(oh_stretch_level(made + 96, 64), 0.75 * oh_stretch_level(sound + BEFORE - 64, 64));
}

static void hushed_it_is_silent_in_time(void)
{
	struct oh_expand  expand;
	struct oh_comfort comfort;
	int16_t           made[400];

	speak(125, 8000);
	oh_comfort_init(&comfort, 1);
	oh_expand_begin(&expand, sound + BEFORE, 8000);
	oh_expand_hush(&expand, 80);
	oh_expand_make(&expand, &comfort, made, 400);
	CHECK_BELOW(oh_stretch_level(made + 81, 319), 30);
}

int main(void)
{
	RUN(whole_periods_are_taken_out_of_a_voice);
	RUN(whole_periods_are_put_into_a_voice);
	RUN(what_is_asked_for_is_never_passed);
	RUN(noise_is_no_voice_but_quiet_noise_takes_any_amount);
	RUN(the_loudest_sound_overflows_nothing);
	RUN(a_voice_goes_on_in_step_at_both_rates);
	RUN(a_voice_fades_and_leaves_the_noise);
	RUN(a_voice_that_was_dying_dies_on);
	RUN(hushed_it_is_silent_in_time);
	return 0;
}
