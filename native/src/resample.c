/* resample.c - a half-band filter in two phases: 8 to 16 kHz and back. */
#include "oh_resample.h"

#include <assert.h>
#include <string.h>

enum {
	BLOCK = 320, /* samples at 8 kHz worked on at a time: bounds the stack */
	PAST = OH_HALF_TAPS - 1,
	CENTRE = OH_RESAMPLE_DELAY / 2, /* the middle tap's delay in samples at 8 kHz */
};

/*
 * Every second tap of the 79, times two, in 1/16384: round(32768 * 0.5 * sinc(k / 2) * kaiser(k, beta = 6.76)) for odd k from
 * -39 to 39. They add up to exactly 16384. The sum of magnitudes, 42100, times 32768 leaves room in 32 bits for the middle tap.
 */
static const int16_t taps[OH_HALF_TAPS] = {
	-2, 5, -11, 19, -31, 47, -70, 100, -138, 188,
	-250, 330, -431, 562, -736, 980, -1347, 1981, -3413, 10409,
	10409, -3413, 1981, -1347, 980, -736, 562, -431, 330, -250,
	188, -138, 100, -70, 47, -31, 19, -11, 5, -2,
};

static int16_t saturate(int32_t v)
{
	return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* The filter is symmetric: which end meets the newest sample does not matter. */
static int32_t dot(const int16_t *x)
{
	int32_t sum = 0;

	for (size_t i = 0; i < OH_HALF_TAPS; i++)
		sum += (int32_t)x[i] * taps[i];
	return sum;
}

void oh_up_init(struct oh_up *up)
{
	memset(up, 0, sizeof(*up));
}

void oh_down_init(struct oh_down *down)
{
	memset(down, 0, sizeof(*down));
}

void oh_up_run(struct oh_up *up, const int16_t *in, size_t n, int16_t *out)
{
	int16_t x[PAST + BLOCK];

	while (n > 0) {
		size_t now = n < BLOCK ? n : BLOCK;

		memcpy(x, up->past, sizeof(up->past));
		memcpy(x + PAST, in, now * sizeof(*in));
		for (size_t i = 0; i < now; i++) {
			out[2 * i] = saturate((dot(x + i) + 8192) >> 14);
			out[2 * i + 1] = x[i + PAST - CENTRE];
		}
		memcpy(up->past, x + now, sizeof(up->past));
		in += now;
		out += 2 * now;
		n -= now;
	}
}

static void push_odd(struct oh_down *down, int16_t sample)
{
	memmove(down->odd, down->odd + 1, sizeof(down->odd) - sizeof(*down->odd));
	down->odd[OH_HALF_TAPS / 2u - 1u] = sample;
}

size_t oh_down_run(struct oh_down *down, const int16_t *in, size_t n, int16_t *out)
{
	const size_t odds = OH_HALF_TAPS / 2u;
	int16_t      even[PAST + BLOCK];
	int16_t      odd[OH_HALF_TAPS / 2u + BLOCK];
	size_t       made = 0;

	if (n > 0 && down->odd_next) {
		push_odd(down, *in);
		down->odd_next = 0;
		in++;
		n--;
	}
	while (n > 0) {
		size_t evens = (n + 1) / 2 < BLOCK ? (n + 1) / 2 : BLOCK;
		size_t pairs = n / 2 < evens ? n / 2 : evens;

		memcpy(even, down->even, sizeof(down->even));
		memcpy(odd, down->odd, sizeof(down->odd));
		for (size_t i = 0; i < pairs; i++) {
			even[PAST + i] = in[2 * i];
			odd[odds + i] = in[2 * i + 1];
		}
		if (pairs < evens)
			even[PAST + pairs] = in[2 * pairs];
		for (size_t i = 0; i < evens; i++)
			out[made + i] = saturate((dot(even + i) + 16384 * (int32_t)odd[i] + 16384) >> 15);
		memcpy(down->even, even + evens, sizeof(down->even));
		memcpy(down->odd, odd + pairs, sizeof(down->odd));
		down->odd_next = pairs < evens;
		made += evens;
		in += evens + pairs;
		n -= evens + pairs;
	}
	return made;
}
