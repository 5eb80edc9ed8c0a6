/* conceal.c - making up what a lost packet said: repeated pitch periods that fade (in the spirit of G.711 Appendix I). */
#include "oh_conceal.h"

#include <assert.h>
#include <string.h>

enum { /* samples at 8 kHz; at 16 kHz all of them count twice */
	PERIOD_MIN = 40,     /* 200 Hz: higher voices repeat two periods at once */
	PERIOD_MAX = 120,    /* 66 Hz */
	WINDOW = 160,        /* compared in the search for the period */
	FULL = 80,           /* at full level */
	FADE = 400,          /* then as many down to nothing */
	STEP = 16,           /* over which the first jump is taken up */
	JOIN_SHORT = 40,     /* cross-fade when sound returns after less than FULL samples ... */
	JOIN_LONG = 80,      /* ... and after more */
	GIVEN_FADE = 160,    /* what a codec made up keeps its own level until so long before the limit */
	NEWEST = (int)OH_CONCEAL_HISTORY - WINDOW,
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
 * Of 8 kHz every second sample is enough, for a voice on the telephone has its strength below 2 kHz; in 12 bits, so that
 * the sums fit 32.
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

	const int16_t *end = half[0] + NEWEST / 2;
	float          own = (float)dot(end, end) + 1.0f, best = 0.0f;
	uint32_t       period = PERIOD_MAX;

	for (int lag = PERIOD_MIN; lag <= PERIOD_MAX; lag++) {
		const int16_t *before = half[lag % 2] + (NEWEST - lag) / 2;
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

/* At 16 kHz: the period at half the rate, and then which of its neighbours fits best to the sample. */
static uint32_t find_period_wide(const int16_t *history)
{
	const int16_t *end = history + 2 * NEWEST;
	int16_t        narrow[OH_CONCEAL_HISTORY];
	uint32_t       middle, period;
	float          best = 0.0f;

	for (size_t i = 0; i < OH_CONCEAL_HISTORY; i++)
		narrow[i] = (int16_t)((history[2 * i] + history[2 * i + 1]) / 2);
	middle = period = 2 * find_period(narrow);
	for (uint32_t lag = middle - 1; lag <= middle + 1 && lag <= 2 * PERIOD_MAX; lag++) {
		const int16_t *before = end - lag;
		float          product = 0.0f, energy = 1.0f;

		for (int i = 0; i < 2 * WINDOW; i += 2) {
			product += (float)end[i] * (float)before[i];
			energy += (float)before[i] * (float)before[i];
		}
		if (product > 0.0f && product * product / energy > best) {
			best = product * product / energy;
			period = lag;
		}
	}
	return period;
}

_Static_assert(2048 * 2048 <= INT32_MAX / (WINDOW / 2), "dot does not overflow");
_Static_assert(OH_CONCEAL_HISTORY % 2 == 0 && WINDOW % 2 == 0 && PERIOD_MAX + WINDOW <= OH_CONCEAL_HISTORY, "halves");

static uint32_t kept(const struct oh_conceal *conceal)
{
	return conceal->scale * OH_CONCEAL_HISTORY;
}

/* Take the last `periods` periods as the cycle, its end bent to lead into its beginning. */
static void take_cycle(struct oh_conceal *conceal, uint32_t periods)
{
	uint32_t len = periods * conceal->period;
	uint32_t join = conceal->period / 4;
	uint32_t start = kept(conceal) - len;

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
	const int16_t *newest = conceal->history + kept(conceal) - 1u;

	conceal->given = false;
	conceal->period = conceal->scale == 1 ? find_period(conceal->history) : find_period_wide(conceal->history);
	take_cycle(conceal, 1);
	conceal->step = *newest - newest[-(ptrdiff_t)conceal->period];
}

static int32_t next_of_cycle(struct oh_conceal *conceal)
{
	if (conceal->cycle_at == conceal->cycle_len) {
		uint32_t full = conceal->scale * FULL;
		uint32_t periods = conceal->gone >= 2 * full ? 3 : conceal->gone >= full ? 2 : 1;

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
	const int32_t scale = (int32_t)conceal->scale;
	size_t        voiced = oh_conceal_left(conceal);

	oh_comfort_fill(&conceal->comfort, out, n);
	if (voiced > 0 && (conceal->gone == 0 || conceal->given))
		begin_gap(conceal);
	for (size_t i = 0; i < n && i < voiced; i++, conceal->gone++) {
		int32_t gone = (int32_t)conceal->gone;
		int32_t gain = gone < scale * FULL ? ONE : ONE - (gone - scale * FULL) * ONE / (scale * FADE);
		int32_t voice = next_of_cycle(conceal);

		if (gone < scale * STEP)
			voice = saturate(voice + conceal->step * (scale * STEP - gone) / (scale * STEP));
		out[i] = saturate((voice * gain + out[i] * (ONE - gain)) / ONE);
	}
}

static void remember(struct oh_conceal *conceal, const int16_t *pcm, size_t n)
{
	size_t keep = kept(conceal);

	if (n >= keep) {
		memcpy(conceal->history, pcm + n - keep, keep * sizeof(*pcm));
		return;
	}
	memmove(conceal->history, conceal->history + n, (keep - n) * sizeof(*pcm));
	memcpy(conceal->history + keep - n, pcm, n * sizeof(*pcm));
}

void oh_conceal_init(struct oh_conceal *conceal, uint32_t seed)
{
	memset(conceal, 0, sizeof(*conceal));
	conceal->scale = 1;
	oh_comfort_init(&conceal->comfort, seed);
}

void oh_conceal_rate(struct oh_conceal *conceal, uint32_t rate_hz)
{
	int16_t *history = conceal->history;

	if (rate_hz == 8000u * conceal->scale)
		return;
	if (conceal->scale == 1) { /* in between lies the mean: good enough for what is faded out at once */
		for (size_t i = OH_CONCEAL_HISTORY; i-- > 0;) {
			history[2 * i + 1] = history[i];
			history[2 * i] = (int16_t)((history[i > 0 ? i - 1 : 0] + history[i]) / 2);
		}
		conceal->gone *= 2;
		conceal->scale = 2;
	} else {
		for (size_t i = 0; i < OH_CONCEAL_HISTORY; i++)
			history[i] = history[2 * i + 1];
		conceal->gone /= 2;
		conceal->scale = 1;
	}
	if (oh_conceal_left(conceal) > 0)
		begin_gap(conceal);
	if (conceal->gone == 0)
		conceal->gone = 1;
}

void oh_conceal_heard(struct oh_conceal *conceal, int16_t *pcm, size_t n)
{
	const size_t scale = conceal->scale;

	if (n == 0)
		return;
	if (conceal->given) { /* a codec leads over from what it made up to what follows, unless that was faded */
		conceal->given = false;
		conceal->gone = oh_conceal_left(conceal) >= scale * GIVEN_FADE ? 0 : (uint32_t)scale * OH_CONCEAL_LIMIT;
	}
	if (conceal->gone > 0) {
		int16_t made[2 * JOIN_LONG];
		size_t  join = scale * (conceal->gone < scale * FULL ? JOIN_SHORT : JOIN_LONG);

		if (join > n)
			join = n;
		make(conceal, made, join);
		for (size_t i = 0; i < join; i++) {
			int32_t weight = (int32_t)(i + 1) * ONE / (int32_t)(join + 1);

			pcm[i] = (int16_t)((made[i] * (ONE - weight) + pcm[i] * weight) / ONE);
		}
		conceal->gone = 0;
	}
	remember(conceal, pcm, n);
}

void oh_conceal_fill(struct oh_conceal *conceal, int16_t *out, size_t n)
{
	make(conceal, out, n);
}

void oh_conceal_gave(struct oh_conceal *conceal, int16_t *pcm, size_t n)
{
	const int32_t fade = (int32_t)conceal->scale * GIVEN_FADE;

	for (size_t i = 0; i < n; i++) {
		int32_t left = (int32_t)oh_conceal_left(conceal);
		int16_t noise;

		conceal->gone++;
		if (left >= fade)
			continue;
		oh_comfort_fill(&conceal->comfort, &noise, 1);
		pcm[i] = (int16_t)((pcm[i] * left + noise * (fade - left)) / fade);
	}
	conceal->given = n > 0 || conceal->given;
	remember(conceal, pcm, n);
}

void oh_conceal_hush(struct oh_conceal *conceal)
{
	conceal->gone = conceal->scale * OH_CONCEAL_LIMIT;
	conceal->given = false;
}
