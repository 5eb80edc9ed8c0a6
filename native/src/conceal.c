/* conceal.c - making up what a lost packet said: repeated pitch periods that fade (in the spirit of G.711 Appendix I). */
#include "oh_conceal.h"

#include <assert.h>
#include <string.h>

enum {
	PERIOD_MIN = 40,     /* 200 Hz: higher voices repeat two periods at once */
	PERIOD_MAX = 120,    /* 66 Hz */
	WINDOW = 160,        /* samples compared in the search for the period */
	FULL = 80,           /* samples at full level */
	FADE = 400,          /* then as many down to nothing */
	STEP = 16,           /* samples over which the first jump is taken up */
	JOIN_SHORT = 40,     /* cross-fade when sound returns after less than FULL samples ... */
	JOIN_LONG = 80,      /* ... and after more */
	ONE = 32768,
};

_Static_assert(3 * PERIOD_MAX + PERIOD_MAX / 4 <= OH_CONCEAL_HISTORY, "three periods and the join before them");
_Static_assert(FULL + FADE == OH_CONCEAL_LIMIT, "silent at the limit");

static int16_t saturate(int32_t v)
{
	return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

static int32_t dot(const int16_t *x, const int16_t *y)
{
	int32_t sum = 0;

	for (int i = 0; i < WINDOW / 2; i++)
		sum += (int32_t)x[i] * y[i];
	return sum;
}

/*
 * The lag at which the newest samples repeat earlier ones best: correlation squared over energy, where that is positive.
 * Every second sample is enough, for a voice on the telephone has its strength below 2 kHz; in 12 bits, so that the sums
 * fit 32.
 */
static uint32_t find_period(const int16_t *history)
{
	int16_t  half[2][OH_CONCEAL_HISTORY / 2]; /* samples at even and at odd places */
	uint32_t peak = 0;
	int      shift = 0;

	for (size_t i = 0; i < OH_CONCEAL_HISTORY; i++) {
		uint32_t magnitude = (uint32_t)(history[i] < 0 ? -history[i] : history[i]);

		peak = magnitude > peak ? magnitude : peak;
	}
	while (peak >> shift >= 2048)
		shift++;
	for (size_t i = 0; i < OH_CONCEAL_HISTORY; i++)
		half[i % 2][i / 2] = (int16_t)(history[i] / (1 << shift));

	const int      newest = (int)OH_CONCEAL_HISTORY - WINDOW;
	const int16_t *end = half[0] + newest / 2;
	float          own = (float)dot(end, end) + 1.0f, best = 0.0f;
	uint32_t       period = PERIOD_MAX;

	for (int lag = PERIOD_MIN; lag <= PERIOD_MAX; lag++) {
		const int16_t *before = half[lag % 2] + (newest - lag) / 2;
		float          product = (float)dot(end, before);
		float          like = product * product / ((float)dot(before, before) + 1.0f);

		if (product > 0.0f && like > best) {
			best = like;
			period = (uint32_t)lag;
		}
	}
	/* no pitch: the longest period buzzes least */
	return best < 0.1f * own ? PERIOD_MAX : period;
}

_Static_assert(2048 * 2048 <= INT32_MAX / (WINDOW / 2), "dot does not overflow");
_Static_assert(OH_CONCEAL_HISTORY % 2 == 0 && WINDOW % 2 == 0 && PERIOD_MAX + WINDOW <= OH_CONCEAL_HISTORY, "halves");

/* Take the last `periods` periods as the cycle, its end bent to lead into its beginning. */
static void take_cycle(struct oh_conceal *conceal, uint32_t periods)
{
	uint32_t len = periods * conceal->period;
	uint32_t join = conceal->period / 4;
	uint32_t start = OH_CONCEAL_HISTORY - len;

	assert(join <= start);
	memcpy(conceal->cycle, conceal->history + start, len * sizeof(*conceal->cycle));
	for (uint32_t i = 0; i < join; i++) {
		int32_t to = conceal->history[start - join + i];
		int32_t from = conceal->cycle[len - join + i];

		conceal->cycle[len - join + i] = (int16_t)(from + (to - from) * (int32_t)(i + 1) / (int32_t)join);
	}
	conceal->cycle_len = len;
	conceal->cycle_at = len - conceal->period; /* the newest period is the one that follows on */
}

static void begin_gap(struct oh_conceal *conceal)
{
	conceal->period = find_period(conceal->history);
	take_cycle(conceal, 1);
	conceal->step = conceal->history[OH_CONCEAL_HISTORY - 1u] -
	                conceal->history[OH_CONCEAL_HISTORY - 1u - conceal->period];
}

static int32_t next_of_cycle(struct oh_conceal *conceal)
{
	if (conceal->cycle_at == conceal->cycle_len) {
		uint32_t periods = conceal->gone >= 2 * FULL ? 3 : conceal->gone >= FULL ? 2 : 1;

		if (conceal->cycle_len < periods * conceal->period)
			take_cycle(conceal, periods);
		else
			conceal->cycle_at = 0;
	}
	return conceal->cycle[conceal->cycle_at++];
}

/* Make samples without remembering them: the history stays that of the real voice. */
static void make(struct oh_conceal *conceal, int16_t *out, size_t n)
{
	oh_comfort_fill(&conceal->comfort, out, n);
	if (conceal->gone == 0)
		begin_gap(conceal);
	for (size_t i = 0; i < n && conceal->gone < OH_CONCEAL_LIMIT; i++, conceal->gone++) {
		int32_t gone = (int32_t)conceal->gone;
		int32_t gain = gone < FULL ? ONE : ONE - (gone - FULL) * ONE / FADE;
		int32_t voice = next_of_cycle(conceal);

		if (gone < STEP)
			voice = saturate(voice + conceal->step * (STEP - gone) / STEP);
		out[i] = saturate((voice * gain + out[i] * (ONE - gain)) / ONE);
	}
}

void oh_conceal_init(struct oh_conceal *conceal, uint32_t seed)
{
	memset(conceal, 0, sizeof(*conceal));
	oh_comfort_init(&conceal->comfort, seed);
}

void oh_conceal_heard(struct oh_conceal *conceal, int16_t *pcm, size_t n)
{
	if (n == 0)
		return;
	if (conceal->gone > 0) {
		int16_t made[JOIN_LONG];
		size_t  join = conceal->gone < FULL ? JOIN_SHORT : JOIN_LONG;

		if (join > n)
			join = n;
		make(conceal, made, join);
		for (size_t i = 0; i < join; i++) {
			int32_t weight = (int32_t)(i + 1) * ONE / (int32_t)(join + 1);

			pcm[i] = (int16_t)((made[i] * (ONE - weight) + pcm[i] * weight) / ONE);
		}
		conceal->gone = 0;
	}
	if (n >= OH_CONCEAL_HISTORY) {
		memcpy(conceal->history, pcm + n - OH_CONCEAL_HISTORY, sizeof(conceal->history));
		return;
	}
	memmove(conceal->history, conceal->history + n, (OH_CONCEAL_HISTORY - n) * sizeof(*pcm));
	memcpy(conceal->history + OH_CONCEAL_HISTORY - n, pcm, n * sizeof(*pcm));
}

void oh_conceal_fill(struct oh_conceal *conceal, int16_t *out, size_t n)
{
	make(conceal, out, n);
}

void oh_conceal_hush(struct oh_conceal *conceal)
{
	conceal->gone = OH_CONCEAL_LIMIT;
}
