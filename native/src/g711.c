/* g711.c - G.711 both ways: decoding by table, encoding by the position of the leading bit (ITU-T G.191's formulas). */
#include "oh_g711.h"

#include <string.h>

/* Made by the expansion formulas, which native/tests/test_g711.c applies to every code to check them. */
static const int16_t ulaw_linear[256] = {
	-32124, -31100, -30076, -29052, -28028, -27004, -25980, -24956, -23932, -22908, -21884, -20860,
	-19836, -18812, -17788, -16764, -15996, -15484, -14972, -14460, -13948, -13436, -12924, -12412,
	-11900, -11388, -10876, -10364, -9852, -9340, -8828, -8316, -7932, -7676, -7420, -7164,
	-6908, -6652, -6396, -6140, -5884, -5628, -5372, -5116, -4860, -4604, -4348, -4092,
	-3900, -3772, -3644, -3516, -3388, -3260, -3132, -3004, -2876, -2748, -2620, -2492,
	-2364, -2236, -2108, -1980, -1884, -1820, -1756, -1692, -1628, -1564, -1500, -1436,
	-1372, -1308, -1244, -1180, -1116, -1052, -988, -924, -876, -844, -812, -780,
	-748, -716, -684, -652, -620, -588, -556, -524, -492, -460, -428, -396,
	-372, -356, -340, -324, -308, -292, -276, -260, -244, -228, -212, -196,
	-180, -164, -148, -132, -120, -112, -104, -96, -88, -80, -72, -64,
	-56, -48, -40, -32, -24, -16, -8, 0, 32124, 31100, 30076, 29052,
	28028, 27004, 25980, 24956, 23932, 22908, 21884, 20860, 19836, 18812, 17788, 16764,
	15996, 15484, 14972, 14460, 13948, 13436, 12924, 12412, 11900, 11388, 10876, 10364,
	9852, 9340, 8828, 8316, 7932, 7676, 7420, 7164, 6908, 6652, 6396, 6140,
	5884, 5628, 5372, 5116, 4860, 4604, 4348, 4092, 3900, 3772, 3644, 3516,
	3388, 3260, 3132, 3004, 2876, 2748, 2620, 2492, 2364, 2236, 2108, 1980,
	1884, 1820, 1756, 1692, 1628, 1564, 1500, 1436, 1372, 1308, 1244, 1180,
	1116, 1052, 988, 924, 876, 844, 812, 780, 748, 716, 684, 652,
	620, 588, 556, 524, 492, 460, 428, 396, 372, 356, 340, 324,
	308, 292, 276, 260, 244, 228, 212, 196, 180, 164, 148, 132,
	120, 112, 104, 96, 88, 80, 72, 64, 56, 48, 40, 32,
	24, 16, 8, 0,
};

static const int16_t alaw_linear[256] = {
	-5504, -5248, -6016, -5760, -4480, -4224, -4992, -4736, -7552, -7296, -8064, -7808,
	-6528, -6272, -7040, -6784, -2752, -2624, -3008, -2880, -2240, -2112, -2496, -2368,
	-3776, -3648, -4032, -3904, -3264, -3136, -3520, -3392, -22016, -20992, -24064, -23040,
	-17920, -16896, -19968, -18944, -30208, -29184, -32256, -31232, -26112, -25088, -28160, -27136,
	-11008, -10496, -12032, -11520, -8960, -8448, -9984, -9472, -15104, -14592, -16128, -15616,
	-13056, -12544, -14080, -13568, -344, -328, -376, -360, -280, -264, -312, -296,
	-472, -456, -504, -488, -408, -392, -440, -424, -88, -72, -120, -104,
	-24, -8, -56, -40, -216, -200, -248, -232, -152, -136, -184, -168,
	-1376, -1312, -1504, -1440, -1120, -1056, -1248, -1184, -1888, -1824, -2016, -1952,
	-1632, -1568, -1760, -1696, -688, -656, -752, -720, -560, -528, -624, -592,
	-944, -912, -1008, -976, -816, -784, -880, -848, 5504, 5248, 6016, 5760,
	4480, 4224, 4992, 4736, 7552, 7296, 8064, 7808, 6528, 6272, 7040, 6784,
	2752, 2624, 3008, 2880, 2240, 2112, 2496, 2368, 3776, 3648, 4032, 3904,
	3264, 3136, 3520, 3392, 22016, 20992, 24064, 23040, 17920, 16896, 19968, 18944,
	30208, 29184, 32256, 31232, 26112, 25088, 28160, 27136, 11008, 10496, 12032, 11520,
	8960, 8448, 9984, 9472, 15104, 14592, 16128, 15616, 13056, 12544, 14080, 13568,
	344, 328, 376, 360, 280, 264, 312, 296, 472, 456, 504, 488,
	408, 392, 440, 424, 88, 72, 120, 104, 24, 8, 56, 40,
	216, 200, 248, 232, 152, 136, 184, 168, 1376, 1312, 1504, 1440,
	1120, 1056, 1248, 1184, 1888, 1824, 2016, 1952, 1632, 1568, 1760, 1696,
	688, 656, 752, 720, 560, 528, 624, 592, 944, 912, 1008, 976,
	816, 784, 880, 848,
};

/*
 * A float is a segment and a step: its exponent says where the leading bit of a magnitude is, the four bits
 * below it are the step. So that a processor finds them for many samples at a time, without looking anything up.
 */
static inline uint32_t segment_and_step(uint32_t magnitude)
{
	float    value = (float)(int32_t)magnitude;
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return (bits >> 19) - (127u << 4);
}

int16_t oh_ulaw_to_linear(uint8_t code)
{
	return ulaw_linear[code];
}

int16_t oh_alaw_to_linear(uint8_t code)
{
	return alaw_linear[code];
}

static inline uint8_t to_ulaw(int16_t sample)
{
	/* 14-bit magnitude in one's complement, biased by 33; clipped to 13 bits after the bias. */
	int32_t  sign = sample >> 15;
	uint32_t magnitude = ((uint32_t)(sample ^ sign) >> 2) + 33u;
	uint32_t code;

	magnitude = magnitude > 0x1fffu ? 0x1fffu : magnitude;
	code = segment_and_step(magnitude) - (5u << 4); /* the bias makes 5 the lowest place of a leading bit */
	return (uint8_t)(~code & (0xffu ^ ((uint32_t)sign & 0x80u)));
}

static inline uint8_t to_alaw(int16_t sample)
{
	/* 12-bit magnitude in one's complement; below 16 the steps are those of the first segment, which has two halves. */
	int32_t  sign = sample >> 15;
	uint32_t magnitude = (uint32_t)(sample ^ sign) >> 4;
	uint32_t high = segment_and_step(magnitude) - (3u << 4);
	uint32_t code = magnitude < 16u ? magnitude : high;

	return (uint8_t)((code | (~(uint32_t)sign & 0x80u)) ^ 0x55u);
}

uint8_t oh_linear_to_ulaw(int16_t sample)
{
	return to_ulaw(sample);
}

uint8_t oh_linear_to_alaw(int16_t sample)
{
	return to_alaw(sample);
}

void oh_g711_decode(enum oh_g711 law, const uint8_t *codes, int16_t *samples, size_t n)
{
	const int16_t *linear = law == OH_ALAW ? alaw_linear : ulaw_linear;

	for (size_t i = 0; i < n; i++)
		samples[i] = linear[codes[i]];
}

void oh_g711_encode(enum oh_g711 law, const int16_t *samples, uint8_t *codes, size_t n)
{
	if (law == OH_ALAW) {
		for (size_t i = 0; i < n; i++)
			codes[i] = to_alaw(samples[i]);
	} else {
		for (size_t i = 0; i < n; i++)
			codes[i] = to_ulaw(samples[i]);
	}
}
