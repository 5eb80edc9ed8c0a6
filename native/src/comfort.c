/* comfort.c - soft white noise at a level (RFC 3389 section 3, the level only). */
#include "oh_comfort.h"

/*
 * Factor in 1/65536 for each level from OH_COMFORT_LOUDEST to 127: round(sqrt(6) * 10^(-level/20) * 65536), for the mean
 * of two uniform samples has an RMS of 32768 / sqrt(6).
 */
static const uint16_t scales[128u - OH_COMFORT_LOUDEST] = {
	1605, 1431, 1275, 1136, 1013, 903, 805, 717, 639, 570, 508, 452, 403, 359, 320, 285,
	254, 227, 202, 180, 161, 143, 128, 114, 101, 90, 80, 72, 64, 57, 51, 45,
	40, 36, 32, 29, 25, 23, 20, 18, 16, 14, 13, 11, 10, 9, 8, 7,
	6, 6, 5, 5, 4, 4, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0,
};

void oh_comfort_init(struct oh_comfort *comfort, uint32_t seed)
{
	comfort->state = seed * 2654435761u + 1u; /* neighbouring seeds, such as port numbers, must not sound alike */
	if (comfort->state == 0)
		comfort->state = 1;
	comfort->last = 0;
	oh_comfort_level(comfort, OH_COMFORT_USUAL);
}

void oh_comfort_level(struct oh_comfort *comfort, unsigned minus_dbov)
{
	if (minus_dbov < OH_COMFORT_LOUDEST)
		minus_dbov = OH_COMFORT_LOUDEST;
	if (minus_dbov > 127)
		minus_dbov = 127;
	comfort->scale = scales[minus_dbov - OH_COMFORT_LOUDEST];
}

void oh_comfort_fill(struct oh_comfort *comfort, int16_t *out, size_t n)
{
	uint32_t state = comfort->state;
	int32_t  last = comfort->last;

	for (size_t i = 0; i < n; i++) {
		state ^= state << 13; /* Marsaglia's xorshift */
		state ^= state >> 17;
		state ^= state << 5;

		int32_t white = (int32_t)(state >> 16) - 32768;

		/* The mean with the sample before takes the edge off: 3 dB down at 2 kHz, nothing at 4. */
		out[i] = (int16_t)(((white + last) / 2 * comfort->scale + 32768) >> 16);
		last = white;
	}
	comfort->state = state;
	comfort->last = last;
}
