/* test_g711.c - G.711 against the formulas of ITU-T G.191, on every code and every sample. */
#include "check.h"
#include "oh_g711.h"

/* mu-law expansion: sign, segment, step; the value is the middle of the step less the bias of 132. */
static int expand_ulaw(int code)
{
	int inverted = ~code & 0xff;
	int segment = inverted >> 4 & 7;
	int value = (0x80 << segment) + ((inverted & 15) << (segment + 3)) + (4 << segment) - 132;

	return code < 0x80 ? -value : value;
}

static int expand_alaw(int code)
{
	int toggled = code ^ 0x55;
	int segment = toggled >> 4 & 7;
	int value = (toggled & 15) + (segment > 0 ? 16 : 0);

	value = (value << 4) + 8;
	if (segment > 1)
		value <<= segment - 1;
	return toggled > 127 ? value : -value;
}

/* mu-law compression of G.191: 14 bits, magnitude in one's complement, bias 33, segment found by counting. */
static int compress_ulaw(int sample)
{
	int magnitude = ((sample < 0 ? ~sample : sample) >> 2) + 33;
	int segment = 1;

	if (magnitude > 0x1fff)
		magnitude = 0x1fff;
	for (int i = magnitude >> 6; i != 0; i >>= 1)
		segment++;
	return (0x08 - segment) << 4 | (0x0f - ((magnitude >> segment) & 0x0f)) | (sample >= 0 ? 0x80 : 0);
}

static int compress_alaw(int sample)
{
	int magnitude = (sample < 0 ? ~sample : sample) >> 4;

	if (magnitude > 15) {
		int segment = 1;

		while (magnitude > 16 + 15) {
			magnitude >>= 1;
			segment++;
		}
		magnitude = magnitude - 16 + (segment << 4);
	}
	return (magnitude | (sample >= 0 ? 0x80 : 0)) ^ 0x55;
}

static void every_code_decodes_by_the_formula(void)
{
	for (int code = 0; code < 256; code++) {
		CHECK_INT(oh_ulaw_to_linear((uint8_t)code), expand_ulaw(code));
		CHECK_INT(oh_alaw_to_linear((uint8_t)code), expand_alaw(code));
	}
	CHECK_INT(oh_ulaw_to_linear(0x00), -32124);
	CHECK_INT(oh_ulaw_to_linear(0x80), 32124);
	CHECK_INT(oh_ulaw_to_linear(0xff), 0);
	CHECK_INT(oh_alaw_to_linear(0x2a), -32256);
	CHECK_INT(oh_alaw_to_linear(0xaa), 32256);
	CHECK_INT(oh_alaw_to_linear(0xd5), 8);
}

static void every_sample_encodes_by_the_formula(void)
{
	for (int sample = -32768; sample <= 32767; sample++) {
		CHECK_INT(oh_linear_to_ulaw((int16_t)sample), compress_ulaw(sample));
		CHECK_INT(oh_linear_to_alaw((int16_t)sample), compress_alaw(sample));
	}
	CHECK_INT(oh_linear_to_ulaw(0), OH_ULAW_SILENCE);
	CHECK_INT(oh_linear_to_alaw(0), OH_ALAW_SILENCE);
}

static void every_code_survives_decoding_and_encoding_but_the_second_zero_of_mu_law(void)
{
	for (int code = 0; code < 256; code++) {
		CHECK_INT(oh_linear_to_alaw(oh_alaw_to_linear((uint8_t)code)), code);
		CHECK_INT(oh_linear_to_ulaw(oh_ulaw_to_linear((uint8_t)code)), code == 0x7f ? 0xff : code);
	}
}

static void a_second_passage_changes_no_sample(void)
{
	for (int sample = -32768; sample <= 32767; sample++) {
		int16_t u = oh_ulaw_to_linear(oh_linear_to_ulaw((int16_t)sample));
		int16_t a = oh_alaw_to_linear(oh_linear_to_alaw((int16_t)sample));

		CHECK_INT(oh_ulaw_to_linear(oh_linear_to_ulaw(u)), u);
		CHECK_INT(oh_alaw_to_linear(oh_linear_to_alaw(a)), a);
	}
}

static void blocks_equal_single_samples(void)
{
	static int16_t samples[65536], back[65536];
	static uint8_t codes[65536];

	for (int i = 0; i < 65536; i++)
		samples[i] = (int16_t)(i - 32768);
	for (int law = OH_ULAW; law <= OH_ALAW; law++) {
		oh_g711_encode((enum oh_g711)law, samples, codes, 65536);
		oh_g711_decode((enum oh_g711)law, codes, back, 65536);
		for (int i = 0; i < 65536; i++) {
			uint8_t code = law == OH_ULAW ? oh_linear_to_ulaw(samples[i]) : oh_linear_to_alaw(samples[i]);

			CHECK_INT(codes[i], code);
			CHECK_INT(back[i], law == OH_ULAW ? oh_ulaw_to_linear(code) : oh_alaw_to_linear(code));
		}
	}
}

int main(void)
{
	RUN(every_code_decodes_by_the_formula);
	RUN(every_sample_encodes_by_the_formula);
	RUN(every_code_survives_decoding_and_encoding_but_the_second_zero_of_mu_law);
	RUN(a_second_passage_changes_no_sample);
	RUN(blocks_equal_single_samples);
	return 0;
}
