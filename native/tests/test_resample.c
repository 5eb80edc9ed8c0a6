/* test_resample.c - the half-band filter: flat where speech is, silent where images and aliases would be, seamless. */
#include <math.h>

#include "check.h"
#include "oh_resample.h"

enum { N = 8000 };

static int16_t narrow[N], wide[2 * N], back[N];

static void tone(int16_t *out, size_t n, double hz, double rate_hz, double peak)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (int16_t)lrint(peak * sin(2 * M_PI * hz * (double)i / rate_hz));
}

/* Level of one frequency in a whole second's second half, in decibels of full scale. */
static double level(const int16_t *x, size_t n, double hz, double rate_hz)
{
	double re = 0, im = 0;

	for (size_t i = n / 2; i < n; i++) {
		double phase = 2 * M_PI * hz * (double)i / rate_hz;
		/* a window keeps the neighbours' skirts out of the way */
		double w = 1 - cos(2 * M_PI * (double)(i - n / 2) / (double)(n / 2));

		re += w * x[i] * cos(phase);
		im += w * x[i] * sin(phase);
	}
	return 20 * log10(sqrt(re * re + im * im) / ((double)n / 4) / 32768 + 1e-9);
}

static void up_is_flat_to_3400_and_its_images_are_60_db_down(void)
{
	for (double hz = 100; hz <= 3400; hz += 100) {
		struct oh_up up;

		oh_up_init(&up);
		tone(narrow, N, hz, 8000, 16000);
		oh_up_run(&up, narrow, N, wide);

		double in = 20 * log10(16000.0 / 32768);
		double out = level(wide, 2 * N, hz, 16000);

		CHECK_BELOW(fabs(out - in), 0.1);
		CHECK_BELOW(level(wide, 2 * N, 8000 - hz, 16000) - out, -60);
	}
}

static void down_is_flat_to_3400_and_rejects_what_would_alias_into_it(void)
{
	for (double hz = 100; hz <= 7900; hz += 100) {
		struct oh_down down;

		if (hz > 3400 && hz < 4600)
			continue;
		oh_down_init(&down);
		tone(wide, 2 * N, hz, 16000, 16000);
		CHECK_INT(oh_down_run(&down, wide, 2 * N, back), N);

		double in = 20 * log10(16000.0 / 32768);
		double out = level(back, N, hz < 4000 ? hz : 8000 - hz, 8000);

		if (hz <= 3400)
			CHECK_BELOW(fabs(out - in), 0.1);
		else
			CHECK_BELOW(out - in, -60);
	}
}

static void the_delay_is_what_the_header_says(void)
{
	struct oh_up   up;
	struct oh_down down;
	size_t         peak = 0;

	memset(narrow, 0, sizeof(narrow));
	narrow[100] = 20000;
	oh_up_init(&up);
	oh_up_run(&up, narrow, N, wide);
	for (size_t i = 0; i < 2 * N; i++)
		if (abs(wide[i]) > abs(wide[peak]))
			peak = i;
	CHECK_INT(peak, 200 + OH_RESAMPLE_DELAY);

	oh_down_init(&down);
	oh_down_run(&down, wide, 2 * N, back);
	peak = 0;
	for (size_t i = 0; i < N; i++)
		if (abs(back[i]) > abs(back[peak]))
			peak = i;
	CHECK_INT(peak, 100 + OH_RESAMPLE_DELAY); /* twice 39 at 16 kHz is 39 at 8 */
}

static void blocks_of_any_length_join_without_a_seam(void)
{
	static int16_t whole[2 * N], parts[2 * N];
	uint32_t       state = 5;
	struct oh_up   up;
	struct oh_down down;

	for (size_t i = 0; i < N; i++)
		narrow[i] = (int16_t)noise(&state);
	oh_up_init(&up);
	oh_up_run(&up, narrow, N, whole);
	oh_up_init(&up);
	for (size_t at = 0; at < N;) {
		size_t n = noise(&state) % 700;

		n = n < N - at ? n : N - at;
		oh_up_run(&up, narrow + at, n, parts + 2 * at);
		at += n;
	}
	CHECK(memcmp(whole, parts, sizeof(whole)) == 0);

	size_t made = 0;

	oh_down_init(&down);
	CHECK_INT(oh_down_run(&down, whole, 2 * N, back), N);
	oh_down_init(&down);
	for (size_t at = 0; at < 2 * N;) {
		size_t n = noise(&state) % 1400;

		n = n < 2 * N - at ? n : 2 * N - at;
		size_t now = oh_down_run(&down, whole + at, n, parts + made);

		CHECK(now <= (n + 1) / 2);
		made += now;
		at += n;
	}
	CHECK_INT(made, N);
	CHECK(memcmp(back, parts, sizeof(back)) == 0);
}

static void full_scale_saturates_and_never_wraps(void)
{
	struct oh_up   up;
	struct oh_down down;

	/* a square wave near the band's edge overshoots full scale by much */
	for (size_t i = 0; i < N; i++)
		narrow[i] = i / 8 % 2 ? INT16_MAX : INT16_MIN;
	oh_up_init(&up);
	oh_up_run(&up, narrow, N, wide);
	for (size_t i = 200; i + 1 < 2 * N; i++) /* a wrap would be a jump of nearly the whole range */
		CHECK(abs(wide[i + 1] - wide[i]) < 50000);

	for (size_t i = 0; i < 2 * N; i++)
		wide[i] = i / 16 % 2 ? INT16_MAX : INT16_MIN;
	oh_down_init(&down);
	oh_down_run(&down, wide, 2 * N, back);
	for (size_t i = 100; i < N; i++) {
		size_t place = (i * 2 - OH_RESAMPLE_DELAY) % 16;

		if (place > 3 && place < 13) /* away from the edges the sign must be right */
			CHECK((back[i] > 0) == (wide[i * 2 - OH_RESAMPLE_DELAY] > 0));
	}
}

int main(void)
{
	RUN(up_is_flat_to_3400_and_its_images_are_60_db_down);
	RUN(down_is_flat_to_3400_and_rejects_what_would_alias_into_it);
	RUN(the_delay_is_what_the_header_says);
	RUN(blocks_of_any_length_join_without_a_seam);
	RUN(full_scale_saturates_and_never_wraps);
	return 0;
}
