/* stretch.c - pitch-synchronous overlap and add. */
#include "oh_stretch.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
	BITS = 11,                                /* products of 320 samples of so many fit 32 bits */
	REGION = 3 * OH_STRETCH_MOST,             /* most samples that are ever compared */
	ONE = 16384,
};

static size_t samples(uint32_t us, uint32_t rate_hz)
{
	return us * (rate_hz / 1000) / 1000;
}

int32_t oh_stretch_level(const int16_t *pcm, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int32_t)pcm[i] * pcm[i];
	return n ? (int32_t)sqrtf((float)sum / (float)n) : 0;
}

static int32_t dot(const int16_t *x, const int16_t *y, size_t n)
{
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int32_t)x[i] * y[i];
	return sum;
}

/* The same sound in few enough bits for dot. */
static void scale_down(int16_t *out, const int16_t *pcm, size_t n)
{
	int32_t peak = 0;
	int     shift = 0;

	for (size_t i = 0; i < n; i++) {
		int32_t magnitude = pcm[i] < 0 ? -pcm[i] : pcm[i];

		peak = magnitude > peak ? magnitude : peak;
	}
	while (peak >> shift >= 1 << BITS)
		shift++;
	for (size_t i = 0; i < n; i++)
		out[i] = (int16_t)(pcm[i] / (1 << shift));
}

static float like(int32_t product, int64_t energy, int64_t other)
{
	return (float)product / sqrtf((float)(energy + 1) * (float)(other + 1));
}

size_t oh_stretch_lag(const int16_t *pcm, bool back, size_t window, size_t least, size_t most, float *likeness)
{
	int16_t region[REGION];

	assert(most + window <= REGION && least <= most && window <= 320);
	scale_down(region, back ? pcm - most : pcm, most + window);

	ptrdiff_t      away = back ? -1 : 1, length = (ptrdiff_t)window; /* samples a step of the lag goes */
	const int16_t *here = back ? region + most : region;
	float          best = -2.0f;
	size_t         lag_of_best = most;
	int64_t        own = dot(here, here, window);
	int64_t        other = dot(here + away * (ptrdiff_t)least, here + away * (ptrdiff_t)least, window);

	for (size_t lag = least; lag <= most; lag++) {
		const int16_t *there = here + away * (ptrdiff_t)lag;
		float          alike = like(dot(here, there, window), own, other);

		if (alike > best) {
			best = alike;
			lag_of_best = lag;
		}
		if (lag == most)
			break;

		int32_t enters = back ? there[-1] : there[length], leaves = back ? there[length - 1] : there[0];

		other += enters * enters - leaves * leaves;
	}
	if (likeness)
		*likeness = best;
	return lag_of_best;
}

void oh_stretch_fade(int16_t *out, const int16_t *from, const int16_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int32_t weight = (int32_t)((2 * i + 1) * ONE / (2 * n));

		out[i] = (int16_t)((from[i] * (ONE - weight) + to[i] * weight) / ONE);
	}
}

size_t oh_stretch_shorten(int16_t *pcm, size_t n, uint32_t rate_hz, size_t most, int32_t quiet, float likeness)
{
	size_t least = samples(OH_STRETCH_LEAST_US, rate_hz), longest = samples(OH_STRETCH_MOST_US, rate_hz);
	size_t window = samples(10000, rate_hz), lag;
	float  alike;

	most = most < longest ? most : longest;
	if (most > n / 2)
		most = n / 2;
	if (n < window + most)
		window = n - most;
	if (most < least)
		return 0;
	if (oh_stretch_level(pcm, most + window) < quiet) {
		lag = most;
	} else {
		lag = oh_stretch_lag(pcm, false, window, least, most, &alike);
		if (alike < likeness)
			return 0;
	}
	oh_stretch_fade(pcm, pcm, pcm + lag, lag);
	memmove(pcm + lag, pcm + 2 * lag, (n - 2 * lag) * sizeof(*pcm));
	return lag;
}

size_t oh_stretch_lengthen(int16_t *pcm, size_t n, uint32_t rate_hz, size_t most, int32_t quiet, float likeness)
{
	size_t  least = samples(OH_STRETCH_LEAST_US, rate_hz), longest = samples(OH_STRETCH_MOST_US, rate_hz);
	size_t  window = samples(10000, rate_hz), lag;
	int16_t bridge[OH_STRETCH_MOST];
	float   alike;

	most = most < longest ? most : longest;
	most = most < n ? most : n;
	window = window < n ? window : n;
	if (most < least)
		return 0;
	if (oh_stretch_level(pcm, window) < quiet && oh_stretch_level(pcm - most, most) < quiet) {
		lag = most;
	} else {
		lag = oh_stretch_lag(pcm, true, window, least, most, &alike);
		if (alike < likeness)
			return 0;
	}
	/* x[0..lag) leads over into what was `lag` before it, which ends where x[0] begins */
	oh_stretch_fade(bridge, pcm, pcm - lag, lag);
	memmove(pcm + lag, pcm, n * sizeof(*pcm));
	memcpy(pcm, bridge, lag * sizeof(*pcm));
	return lag;
}
