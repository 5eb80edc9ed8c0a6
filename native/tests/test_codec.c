/* test_codec.c - codecs behind their one face: sound survives, loss is survived, hostile payloads are counted right. */
#include <errno.h>
#include <math.h>
#include <opus/opus.h>

#include "check.h"
#include "oh_codec.h"

enum { RATE = 16000, FRAME = 320, FRAMES = 250, TOTAL = FRAMES * FRAME, DELAY = 104 /* 6.5 ms: Opus' own */ };

static int16_t voice[TOTAL];
static uint8_t packets[FRAMES][OH_CODEC_PAYLOAD_MAX];
static size_t  lengths[FRAMES];

/* Something like speech: harmonics of a wandering pitch, in syllables. */
static void speak(double loudness)
{
	double phase = 0;

	for (int i = 0; i < TOTAL; i++) {
		double t = (double)i / RATE, syllable = pow(sin(M_PI * 3.1 * t), 2), sum = 0;

		phase += 2 * M_PI * (140 + 30 * sin(2 * M_PI * 0.7 * t)) / RATE;
		for (int k = 1; k <= 12; k++)
			sum += sin(k * phase) / k;
		voice[i] = (int16_t)(loudness * 4000 * syllable * sum);
	}
}

static void encode_all(struct oh_encoder *encoder)
{
	for (int i = 0; i < FRAMES; i++) {
		int len = oh_encode(encoder, voice + i * FRAME, FRAME, packets[i], sizeof(packets[i]));

		CHECK(len >= 0);
		lengths[i] = (size_t)len;
		CHECK(len == 0 || oh_codec_samples(encoder->codec, packets[i], lengths[i]) == FRAME);
	}
}

static double energy(const int16_t *x, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sum;
}

/* How much of x is not y, as a share of y's energy. */
static double difference(const int16_t *x, const int16_t *y, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += pow((double)x[i] - y[i], 2);
	return sum / (energy(y, n) + 1);
}

static void each_codec_tells_its_rates(void)
{
	CHECK_INT(oh_codec_rate_hz(OH_CODEC_ULAW), 8000);
	CHECK_INT(oh_codec_clock_hz(OH_CODEC_ALAW), 8000);
	CHECK_INT(oh_codec_rate_hz(OH_CODEC_OPUS), 16000);
	CHECK_INT(oh_codec_ticks(OH_CODEC_OPUS), 3);
	CHECK_INT(oh_codec_clock_hz(OH_CODEC_OPUS), 48000);
}

static void g711_comes_back_within_half_a_step(void)
{
	for (int codec = OH_CODEC_ULAW; codec <= OH_CODEC_ALAW; codec++) {
		struct oh_encoder encoder;
		struct oh_decoder decoder;
		int16_t           pcm[160], back[160];
		uint8_t           coded[160];

		CHECK_INT(oh_encoder_open(&encoder, codec, true), 0);
		CHECK_INT(oh_decoder_open(&decoder, codec), 0);
		for (int i = 0; i < 160; i++)
			pcm[i] = (int16_t)(200 * (i - 80));
		CHECK_INT(oh_encode(&encoder, pcm, 160, coded, sizeof(coded)), 160);
		CHECK_INT(oh_encode(&encoder, pcm, 160, coded, 159), -ENOBUFS);
		CHECK_INT(oh_encode(&encoder, pcm, 161, coded, sizeof(coded)), -EINVAL);
		CHECK_INT(oh_decode(&decoder, coded, 160, back), 160);
		for (int i = 0; i < 160; i++)
			CHECK(abs(back[i] - pcm[i]) <= abs(pcm[i]) / 32 + 8);
		CHECK_INT(oh_decode_missing(&decoder, coded, 160, back, 160), 0);
		CHECK_INT(oh_codec_samples(codec, coded, 0), -EBADMSG);
		CHECK_INT(oh_codec_samples(codec, coded, 960), 960);
		CHECK_INT(oh_codec_samples(codec, coded, 961), -EBADMSG);
		oh_encoder_close(&encoder);
		oh_decoder_close(&decoder);
	}
}

static void speech_survives_opus_at_every_packet_time(void)
{
	static const int times_ms[] = { 10, 20, 40, 60 };

	speak(1);
	for (size_t k = 0; k < 4; k++) {
		static int16_t    back[TOTAL];
		struct oh_encoder encoder;
		struct oh_decoder decoder;
		int               n = times_ms[k] * RATE / 1000, done = 0;
		size_t            bytes = 0;

		CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
		CHECK_INT(oh_decoder_open(&decoder, OH_CODEC_OPUS), 0);
		for (; done + n <= TOTAL; done += n) {
			uint8_t out[OH_CODEC_PAYLOAD_MAX];
			int     len = oh_encode(&encoder, voice + done, (size_t)n, out, sizeof(out));

			CHECK(len > 2);
			bytes += (size_t)len;
			CHECK_INT(oh_codec_samples(OH_CODEC_OPUS, out, (size_t)len), n);
			CHECK_INT(oh_decode(&decoder, out, (size_t)len, back + done), n);
		}
		/* Speech coders keep what is heard, not the wave; a wrong rate or place would differ by 1 to 2. */
		CHECK_BELOW(difference(back + RATE, voice + RATE - DELAY, done - RATE), 0.5);
		CHECK_BELOW(fabs(energy(back + RATE, done - RATE) / energy(voice + RATE, done - RATE) - 1), 0.15);
		CHECK_BELOW((double)bytes * 8 * RATE / done, 40000);
		oh_encoder_close(&encoder);
		oh_encoder_close(&encoder);
		oh_decoder_close(&decoder);
		oh_decoder_close(&decoder);
	}
}

static void an_opus_packet_of_thirty_milliseconds_is_refused(void)
{
	struct oh_encoder encoder;
	uint8_t           out[OH_CODEC_PAYLOAD_MAX];

	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
	CHECK_INT(oh_encode(&encoder, voice, 480, out, sizeof(out)), -EINVAL);
	CHECK_INT(oh_encode(&encoder, voice, 0, out, sizeof(out)), -EINVAL);
	CHECK_INT(oh_encode(&encoder, voice, 1920, out, sizeof(out)), -EINVAL);
	CHECK_INT(oh_encode(&encoder, voice, 321, out, sizeof(out)), -EINVAL);
	CHECK_INT(oh_encoder_takes_ms(OH_CODEC_OPUS, 30), false);
	CHECK_INT(oh_encoder_takes_ms(OH_CODEC_ALAW, 30), true);
	oh_encoder_close(&encoder);
}

/* RFC 6716 table 2: frame lengths of the 32 configurations in 0.1 ms. */
static int tenths_of(int config)
{
	static const int silk[] = { 100, 200, 400, 600 }, celt[] = { 25, 50, 100, 200 };

	if (config < 12)
		return silk[config % 4];
	return config < 16 ? silk[config % 2] : celt[config % 4];
}

static void any_first_bytes_are_counted_as_the_rfc_says(void)
{
	uint8_t payload[400] = { 0 };

	for (int toc = 0; toc < 256; toc++) {
		int frame = tenths_of(toc >> 3) * 16 / 10;

		payload[0] = (uint8_t)toc;
		for (int second = 0; second < 256; second++) {
			int should;

			payload[1] = (uint8_t)second;
			payload[2] = 1; /* padding, or a length */
			switch (toc & 3) {
			case 0:
				should = frame;
				break;
			case 1: /* two of one length: 399 bytes do not halve */
				should = -EBADMSG;
				break;
			case 2: /* two, the first of the length said */
				should = second < 252 ? 2 * frame : 0;
				break;
			default:
				should = (second & 63) * frame;
				if (should == 0 || should > (int)OH_CODEC_SAMPLES_MAX)
					should = -EBADMSG;
				else if (second & 0x80 || (398 - (second >> 6 & 1) * 2) % (second & 63) != 0)
					should = 0; /* of several lengths, or the lengths do not add up: either way */
			}

			int is = oh_codec_samples(OH_CODEC_OPUS, payload, sizeof(payload));

			if (should != 0)
				CHECK_INT(is, should);
			CHECK(is == -EBADMSG || (is > 0 && is <= (int)OH_CODEC_SAMPLES_MAX && is % 40 == 0));
		}
	}
	CHECK_INT(oh_codec_samples(OH_CODEC_OPUS, payload, 0), -EBADMSG);
	payload[0] = 0x48; /* one frame of 20 ms, without a byte of it */
	CHECK_INT(oh_codec_samples(OH_CODEC_OPUS, payload, 1), 320);
	payload[0] = 0x4b;
	CHECK_INT(oh_codec_samples(OH_CODEC_OPUS, payload, 1), -EBADMSG); /* several, and no word how many */
	payload[1] = 0x84;
	payload[2] = 250; /* longer than what there is */
	CHECK_INT(oh_codec_samples(OH_CODEC_OPUS, payload, 20), -EBADMSG);
}

static void a_lost_packet_comes_back_from_the_copy_in_the_next(void)
{
	struct oh_encoder encoder;
	struct oh_decoder whole, with, without;
	double            by_copy = 0, by_guess = 0;
	int               copies = 0;

	speak(1);
	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
	encode_all(&encoder);
	for (int i = 0; i < FRAMES; i++)
		CHECK_INT(oh_codec_copied(OH_CODEC_OPUS, packets[i], lengths[i]), 0); /* nobody loses anything: no copies */
	oh_encoder_reset(&encoder);
	oh_encoder_loss(&encoder, 0.1);
	encode_all(&encoder);
	CHECK(oh_decoder_open(&whole, OH_CODEC_OPUS) == 0 && oh_decoder_open(&with, OH_CODEC_OPUS) == 0 &&
	      oh_decoder_open(&without, OH_CODEC_OPUS) == 0);
	for (int i = 0; i + 1 < FRAMES; i++) {
		int16_t truth[FRAME], copy[FRAME], guess[FRAME];

		CHECK_INT(oh_decode(&whole, packets[i], lengths[i], truth), FRAME);
		if (i % 10 != 9) {
			CHECK_INT(oh_decode(&with, packets[i], lengths[i], copy), FRAME);
			CHECK_INT(oh_decode(&without, packets[i], lengths[i], guess), FRAME);
			continue;
		}
		CHECK_INT(oh_decode_missing(&without, NULL, 0, guess, FRAME), FRAME);
		CHECK_INT(oh_decode_missing(&with, packets[i + 1], lengths[i + 1], copy, FRAME), FRAME);
		if (oh_codec_copied(OH_CODEC_OPUS, packets[i + 1], lengths[i + 1]) != FRAME || energy(truth, FRAME) < 1e8)
			continue;
		copies++;
		by_copy += difference(copy, truth, FRAME);
		by_guess += difference(guess, truth, FRAME);
	}
	CHECK(copies >= 10);
	CHECK_BELOW(by_copy, 0.6 * by_guess);
	oh_encoder_close(&encoder);
	oh_decoder_close(&whole);
	oh_decoder_close(&with);
	oh_decoder_close(&without);
}

static void a_packet_decoded_aside_changes_nothing_of_the_stream(void)
{
	struct oh_encoder encoder;
	struct oh_decoder one, other;

	speak(1);
	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
	encode_all(&encoder);
	CHECK(oh_decoder_open(&one, OH_CODEC_OPUS) == 0 && oh_decoder_open(&other, OH_CODEC_OPUS) == 0);
	for (int i = 0; i < FRAMES; i++) {
		int16_t plain[FRAME], beside[FRAME], late[FRAME];

		CHECK_INT(oh_decode(&one, packets[i], lengths[i], plain), FRAME);
		CHECK_INT(oh_decode(&other, packets[i], lengths[i], beside), FRAME);
		CHECK(memcmp(plain, beside, sizeof(plain)) == 0);
		if (i > 3)
			CHECK_INT(oh_decode_aside(&other, packets[i - 3], lengths[i - 3], late), FRAME);
	}
	oh_encoder_close(&encoder);
	oh_decoder_close(&one);
	oh_decoder_close(&other);
}

static void with_dtx_a_silence_is_told_once_and_then_hardly_sent(void)
{
	struct oh_encoder encoder;
	int               sent = 0, told = 0;

	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, true), 0);
	speak(1);
	memset(voice + TOTAL / 5, 0, sizeof(voice) / 5 * 4 - sizeof(voice) / 5);
	encode_all(&encoder);
	for (int i = FRAMES / 5 + 20; i < FRAMES / 5 * 4; i++) {
		sent += lengths[i] > 0;
		told += lengths[i] > 0 && oh_codec_falls_silent(OH_CODEC_OPUS, lengths[i]);
	}
	CHECK(sent <= 20 && told >= 1); /* of 130: a sign of life every 400 ms, and that silence follows */
	for (int i = FRAMES / 5 * 4 + 20; i < FRAMES; i++)
		CHECK(lengths[i] > 2);
	oh_encoder_close(&encoder);

	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
	encode_all(&encoder);
	for (int i = 0; i < FRAMES; i++)
		CHECK(lengths[i] > 0); /* without it every packet leaves */
	oh_encoder_close(&encoder);
}

static void a_broken_packet_is_an_error_and_the_next_one_sounds(void)
{
	struct oh_encoder encoder;
	struct oh_decoder decoder;
	uint32_t          state = 7;
	int16_t           pcm[OH_CODEC_SAMPLES_MAX];

	speak(1);
	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, false), 0);
	encode_all(&encoder);
	CHECK_INT(oh_decoder_open(&decoder, OH_CODEC_OPUS), 0);
	for (int i = 0; i < FRAMES; i++) {
		uint8_t rubbish[OH_CODEC_PAYLOAD_MAX + 1];
		size_t  len = noise(&state) % (sizeof(rubbish) + 1);

		for (size_t k = 0; k < len; k++)
			rubbish[k] = (uint8_t)(noise(&state) >> 13);

		int n = oh_decode(&decoder, rubbish, len, pcm);

		CHECK(n == oh_codec_samples(OH_CODEC_OPUS, rubbish, len) || n == -EBADMSG);
		CHECK_INT(oh_decode(&decoder, packets[i], lengths[i], pcm), FRAME);
	}
	oh_decoder_reset(&decoder);
	for (int i = 0; i < FRAMES; i++)
		CHECK_INT(oh_decode(&decoder, packets[i], lengths[i], pcm), FRAME);
	CHECK(energy(voice + TOTAL - 4 * FRAME, FRAME) < 1e6 || energy(pcm, FRAME) > 0);
	CHECK_INT(oh_decode_missing(&decoder, NULL, 0, pcm, 0), 0);
	CHECK_INT(oh_decode_missing(&decoder, NULL, 0, pcm, 33), 0); /* no multiple of 2.5 ms */
	CHECK_INT(oh_decode_missing(&decoder, NULL, 0, pcm, OH_CODEC_SAMPLES_MAX), OH_CODEC_SAMPLES_MAX);
	oh_encoder_close(&encoder);
	oh_decoder_close(&decoder);
}

static void a_codec_takes_no_more_memory_than_it_says(void)
{
	CHECK(2 * opus_decoder_get_size(1) + 128 + opus_encoder_get_size(1) < (int)OH_CODEC_OPUS_BYTES);
}

int main(void)
{
	RUN(each_codec_tells_its_rates);
	RUN(g711_comes_back_within_half_a_step);
	RUN(speech_survives_opus_at_every_packet_time);
	RUN(an_opus_packet_of_thirty_milliseconds_is_refused);
	RUN(any_first_bytes_are_counted_as_the_rfc_says);
	RUN(a_lost_packet_comes_back_from_the_copy_in_the_next);
	RUN(a_packet_decoded_aside_changes_nothing_of_the_stream);
	RUN(with_dtx_a_silence_is_told_once_and_then_hardly_sent);
	RUN(a_broken_packet_is_an_error_and_the_next_one_sounds);
	RUN(a_codec_takes_no_more_memory_than_it_says);
	return 0;
}
