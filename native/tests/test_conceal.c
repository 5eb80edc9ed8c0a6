/* test_conceal.c - concealment: it sounds on like the voice, fades in time, and joins without clicks. */
#include <math.h>

#include "check.h"
#include "oh_conceal.h"

enum { HEARD = 1600 };

static int16_t voice[16000];
static int     rate_hz = 8000;

/* A voice of this pitch: a few harmonics. */
static void speak(double hz)
{
	for (int i = 0; i < 16000; i++) {
		double t = 2 * M_PI * hz * i / rate_hz;

		voice[i] = (int16_t)(6000 * sin(t) + 3000 * sin(2 * t + 1) + 1500 * sin(3 * t + 2));
	}
}

static void hear(struct oh_conceal *conceal, int from, int to)
{
	int16_t pcm[160];

	for (int at = from; at < to; at += 160) {
		memcpy(pcm, voice + at, sizeof(pcm));
		oh_conceal_heard(conceal, pcm, 160);
		CHECK(memcmp(pcm, voice + at, sizeof(pcm)) == 0); /* no gap, no change */
	}
}

static void hear_wide(struct oh_conceal *conceal, int from, int to)
{
	for (int at = from; at < to; at += 320) {
		int16_t pcm[320];

		memcpy(pcm, voice + at, sizeof(pcm));
		oh_conceal_heard(conceal, pcm, 320); /* the very first may be led over to from the silence before */
		CHECK(at == from || memcmp(pcm, voice + at, sizeof(pcm)) == 0);
	}
}

static double rms(const int16_t *x, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum / n);
}

static void a_steady_voice_goes_on_as_it_would_have_at_any_pitch(void)
{
	for (double hz = 70; hz <= 390; hz += 10) {
		struct oh_conceal conceal;
		int16_t           made[80];
		double            error = 0;

		speak(hz);
		oh_conceal_init(&conceal, 1);
		hear(&conceal, 0, HEARD);
		oh_conceal_fill(&conceal, made, 80);
		for (int i = 0; i < 80; i++)
			error += pow(made[i] - voice[HEARD + i], 2);
		CHECK_BELOW(sqrt(error / 80), 0.25 * rms(voice + HEARD, 80));
	}
}

/* ---- at 16 kHz: the same in twice as many samples ---- */

static void begin_wide(struct oh_conceal *conceal, double hz)
{
	rate_hz = 16000;
	speak(hz);
	oh_conceal_init(conceal, 1);
	oh_conceal_rate(conceal, 16000);
	hear_wide(conceal, 0, 2 * HEARD);
}

static void at_sixteen_kilohertz_a_steady_voice_goes_on_too(void)
{
	for (double hz = 70; hz <= 390; hz += 10) {
		struct oh_conceal conceal;
		int16_t           made[160];
		double            error = 0;

		begin_wide(&conceal, hz);
		oh_conceal_fill(&conceal, made, 160);
		for (int i = 0; i < 160; i++)
			error += pow(made[i] - voice[2 * HEARD + i], 2);
		CHECK_BELOW(sqrt(error / 160), 0.25 * rms(voice + 2 * HEARD, 160));
	}
	rate_hz = 8000;
}

static void at_sixteen_kilohertz_it_is_silent_at_sixty_milliseconds_too(void)
{
	struct oh_conceal conceal;
	int16_t           made[1600];

	begin_wide(&conceal, 125);
	CHECK_INT(oh_conceal_left(&conceal), 960);
	for (int at = 0; at < 1600; at += 320)
		oh_conceal_fill(&conceal, made + at, 320);
	CHECK_INT(oh_conceal_left(&conceal), 0);
	CHECK_BELOW(fabs(rms(made, 160) / rms(voice, 3200) - 1), 0.15);
	for (int i = 1; i < 6; i++)
		CHECK_BELOW(fabs(rms(made + 160 * i, 160) / rms(voice, 3200) - (1 - 0.2 * (i - 0.5))), 0.15);
	for (int i = 960; i < 1600; i++)
		CHECK(abs(made[i]) < 64);
	rate_hz = 8000;
}

static void it_fades_by_a_fifth_every_ten_milliseconds_and_is_silent_at_sixty(void)
{
	struct oh_conceal conceal;
	int16_t           made[800];

	speak(125); /* 64 samples a period: each 80 hold at least one */
	oh_conceal_init(&conceal, 1);
	hear(&conceal, 0, HEARD);
	for (int at = 0; at < 800; at += 160)
		oh_conceal_fill(&conceal, made + at, 160);

	double full = rms(voice, 1600);

	CHECK_BELOW(fabs(rms(made, 80) / full - 1), 0.15);
	for (int i = 1; i < 6; i++) {
		double middle = 1 - 0.2 * (i - 0.5);

		CHECK_BELOW(fabs(rms(made + 80 * i, 80) / full - middle), 0.15);
	}
	for (int i = OH_CONCEAL_LIMIT; i < 800; i++)
		CHECK(abs(made[i]) < 64); /* comfort noise at -65 dBov */
	CHECK(rms(made + OH_CONCEAL_LIMIT, 320) > 5);
}

/* The largest step between neighbours, which a click would show in. */
static int largest_step(const int16_t *x, int n)
{
	int largest = 0;

	for (int i = 1; i < n; i++)
		if (abs(x[i] - x[i - 1]) > largest)
			largest = abs(x[i] - x[i - 1]);
	return largest;
}

static void neither_the_gap_nor_the_return_clicks(void)
{
	for (int gap = 80; gap <= 1600; gap += 80) {
		struct oh_conceal conceal;
		static int16_t    out[4000];

		speak(140);
		oh_conceal_init(&conceal, 1);
		hear(&conceal, 0, HEARD);
		memcpy(out, voice, HEARD * sizeof(*out));
		for (int at = 0; at < gap; at += 80)
			oh_conceal_fill(&conceal, out + HEARD + at, 80);
		memcpy(out + HEARD + gap, voice + HEARD + gap, 160 * sizeof(*out));
		oh_conceal_heard(&conceal, out + HEARD + gap, 160);
		CHECK_BELOW(largest_step(out, HEARD + gap + 160), 1.5 * largest_step(voice, 4000));
	}
}

static void a_change_of_rate_goes_on_with_the_voice(void)
{
	for (int start = 0; start < 60; start++) { /* wherever in its period it falls */
		struct oh_conceal conceal;
		static int16_t    out[4000];
		int               at = HEARD + start;

		rate_hz = 8000;
		speak(140);
		oh_conceal_init(&conceal, 1);
		hear(&conceal, start, at);
		memcpy(out, voice + at - 400, 400 * sizeof(*out));

		int usual = largest_step(voice, 4000);

		oh_conceal_rate(&conceal, 16000);
		rate_hz = 16000;
		speak(140);
		memcpy(out + 400, voice + 700, 320 * sizeof(*out)); /* the other codec has another delay */
		oh_conceal_heard(&conceal, out + 400, 320);
		CHECK_BELOW(largest_step(out + 398, 322), 1.5 * usual);
		CHECK(memcmp(out + 400 + 80, voice + 700 + 80, 240 * sizeof(*out)) == 0); /* itself again after 5 ms */

		oh_conceal_rate(&conceal, 8000);
		rate_hz = 8000;
		speak(140);
		memcpy(out + 720, voice + 333, 160 * sizeof(*out));
		oh_conceal_heard(&conceal, out + 720, 160);
		CHECK_BELOW(largest_step(out + 718, 162), 1.5 * usual);
	}
}

static void what_a_codec_made_up_leads_over_by_itself_until_it_is_faded(void)
{
	for (int gap = 160; gap <= 640; gap += 160) {
		struct oh_conceal conceal;
		int16_t           out[800];

		speak(140);
		oh_conceal_init(&conceal, 1);
		hear(&conceal, 0, HEARD);
		memcpy(out, voice + HEARD, sizeof(out)); /* a codec that guesses right */
		for (int at = 0; at < gap && oh_conceal_left(&conceal) > 0; at += 160)
			oh_conceal_gave(&conceal, out + at, 160);
		CHECK(memcmp(out, voice + HEARD, (gap < 320 ? (size_t)gap : 320) * sizeof(*out)) == 0);
		if (gap == 640)
			oh_conceal_fill(&conceal, out + 480, 160);
		oh_conceal_heard(&conceal, out + gap, 160);
		CHECK_BELOW(largest_step(out, gap + 160), 1.5 * largest_step(voice, 4000));
		CHECK((memcmp(out, voice + HEARD, ((size_t)gap + 160) * sizeof(*out)) == 0) == (gap <= 320));
	}
}

static void sound_that_returns_is_itself_again_after_ten_milliseconds(void)
{
	struct oh_conceal conceal;
	int16_t           made[160], pcm[160];

	speak(200);
	oh_conceal_init(&conceal, 1);
	hear(&conceal, 0, HEARD);
	oh_conceal_fill(&conceal, made, 160);
	memcpy(pcm, voice + HEARD + 160, sizeof(pcm));
	oh_conceal_heard(&conceal, pcm, 160);
	CHECK(memcmp(pcm + 80, voice + HEARD + 240, 80 * sizeof(*pcm)) == 0);
}

static void hushed_it_makes_comfort_noise_only(void)
{
	struct oh_conceal conceal;
	int16_t           made[160];

	speak(200);
	oh_conceal_init(&conceal, 1);
	hear(&conceal, 0, HEARD);
	oh_conceal_hush(&conceal);
	oh_conceal_fill(&conceal, made, 160);
	for (int i = 0; i < 160; i++)
		CHECK(abs(made[i]) < 64);
}

static void any_sound_in_any_order_is_survived(void)
{
	struct oh_conceal conceal;
	uint32_t          state = 9;
	int16_t           pcm[960] = { 0 };

	oh_conceal_init(&conceal, 1);
	for (int round = 0; round < 3000; round++) {
		size_t n = noise(&state) % 961;

		switch (noise(&state) % 10) {
		case 0:
			oh_conceal_hush(&conceal);
			break;
		case 8:
			oh_conceal_rate(&conceal, noise(&state) % 2 ? 8000 : 16000);
			break;
		case 9:
			oh_conceal_gave(&conceal, pcm, n);
			break;
		case 1:
		case 2:
		case 3:
			oh_conceal_fill(&conceal, pcm, n);
			break;
		default:
			for (size_t i = 0; i < n; i++) /* full scale, or silence, or noise */
				pcm[i] = (int16_t)(round % 3 == 0 ? (i / 7 % 2 ? 32767 : -32768)
				                   : round % 3 == 1 ? 0
				                                    : (int)(noise(&state) >> 16) - 32768);
			oh_conceal_heard(&conceal, pcm, n);
		}
	}
}

int main(void)
{
	RUN(a_steady_voice_goes_on_as_it_would_have_at_any_pitch);
	RUN(it_fades_by_a_fifth_every_ten_milliseconds_and_is_silent_at_sixty);
	RUN(at_sixteen_kilohertz_a_steady_voice_goes_on_too);
	RUN(at_sixteen_kilohertz_it_is_silent_at_sixty_milliseconds_too);
	RUN(a_change_of_rate_goes_on_with_the_voice);
	RUN(what_a_codec_made_up_leads_over_by_itself_until_it_is_faded);
	RUN(neither_the_gap_nor_the_return_clicks);
	RUN(sound_that_returns_is_itself_again_after_ten_milliseconds);
	RUN(hushed_it_makes_comfort_noise_only);
	RUN(any_sound_in_any_order_is_survived);
	return 0;
}
