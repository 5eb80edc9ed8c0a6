/*
 * codec_speed.c - what a packet costs in each codec, on the processor that runs this.
 *
 *   codec_speed PCM
 *
 * PCM is speech as bare 16-bit samples at 16 kHz, a few seconds of it at least. Prints one line of name=value pairs for
 * each measurement: a packet of 20 ms through the listening path (decoding included), encoded, and for Opus encoded at
 * each complexity, and made up. For loadtest/codecs.py.
 */
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oh_codec.h"
#include "oh_listen.h"

enum { SECONDS_MOST = 60, FRAME_MOST = 320, PACKETS_MOST = SECONDS_MOST * 50 };

static const char *const names[] = { "ulaw", "alaw", "opus" };
static int16_t           wide[SECONDS_MOST * 16000], narrow[SECONDS_MOST * 8000];
static uint8_t           packets[PACKETS_MOST][OH_CODEC_PAYLOAD_MAX];
static int               lengths[PACKETS_MOST];
static int               count;
static volatile int16_t  sink;

static int64_t cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void hear(void *arg, const struct oh_listen_frame *frame)
{
	(void)arg;
	sink = frame->pcm[0];
}

/* Bytes in all. */
static size_t encode_all(struct oh_encoder *encoder)
{
	const size_t frame = oh_codec_rate_hz(encoder->codec) / 50u;
	size_t       bytes = 0;

	for (int i = 0; i < count; i++) {
		lengths[i] = oh_encode(encoder, (frame == 320 ? wide : narrow) + (size_t)i * frame, frame, packets[i],
		                       sizeof(packets[i]));
		if (lengths[i] < 0)
			exit(3);
		bytes += (size_t)lengths[i];
	}
	return bytes;
}

static void measure_encoding(enum oh_codec codec, int complexity, double loss)
{
	struct oh_encoder encoder;
	int64_t           begun;
	size_t            bytes;

	if (oh_encoder_open(&encoder, codec, false) < 0)
		exit(3);
	if (complexity >= 0)
		(void)opus_encoder_ctl(encoder.opus, OPUS_SET_COMPLEXITY(complexity));
	oh_encoder_loss(&encoder, loss);
	begun = cpu_ns();
	bytes = encode_all(&encoder);
	printf("what=encode codec=%s complexity=%d loss_percent=%.0f ns=%.0f kbit_s=%.1f\n", names[codec], complexity,
	       100 * loss, (double)(cpu_ns() - begun) / count, (double)bytes * 8 / count / 20);
	oh_encoder_close(&encoder);
}

static void measure_listening(enum oh_codec codec, int rounds)
{
	static struct oh_listen listen;
	struct oh_encoder       encoder;
	struct oh_decoder       decoder;
	uint32_t                timestamp = 0, seq = 0;
	int64_t                 now_ns = 1000000000, begun;

	if (oh_encoder_open(&encoder, codec, false) < 0 || oh_decoder_open(&decoder, codec) < 0)
		exit(3);
	encode_all(&encoder);
	oh_listen_init(&listen, hear, NULL, 1);
	oh_listen_codec(&listen, &decoder);
	begun = cpu_ns();
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < count; i++, seq++, now_ns += 20000000) {
			struct oh_listen_packet packet = { packets[i], (size_t)lengths[i], OH_CARRIES_AUDIO, 1, timestamp,
				                           (uint16_t)seq };

			oh_listen_put(&listen, &packet, now_ns);
			oh_listen_tick(&listen, now_ns);
			timestamp += oh_codec_clock_hz(codec) / 50u;
		}
	}
	printf("what=listen codec=%s ns=%.1f heard=%llu\n", names[codec], (double)(cpu_ns() - begun) / count / rounds,
	       (unsigned long long)listen.counters.heard_samples);
	if (codec == OH_CODEC_OPUS) {
		int16_t pcm[FRAME_MOST];

		begun = cpu_ns();
		for (int i = 0; i < count; i++) {
			oh_decode(&listen.decoder, packets[i], (size_t)lengths[i], pcm);
			oh_decode_missing(&listen.decoder, NULL, 0, pcm, FRAME_MOST);
		}
		printf("what=packet_and_gap codec=%s ns=%.1f\n", names[codec], (double)(cpu_ns() - begun) / count);
	}
	oh_encoder_close(&encoder);
	oh_listen_close(&listen);
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

	if (file == NULL) {
		fprintf(stderr, "usage: codec_speed PCM (16-bit samples at 16 kHz)\n");
		return 2;
	}
	count = (int)(fread(wide, sizeof(*wide), sizeof(wide) / sizeof(*wide), file) / 320);
	fclose(file);
	if (count < 50) {
		fprintf(stderr, "codec_speed: a second of speech at least\n");
		return 2;
	}
	for (int i = 0; i < count * 160; i++)
		narrow[i] = wide[2 * i];
	for (int codec = OH_CODEC_ULAW; codec <= OH_CODEC_OPUS; codec++)
		measure_listening((enum oh_codec)codec, codec == OH_CODEC_OPUS ? 2 : 1000);
	measure_encoding(OH_CODEC_ULAW, -1, 0);
	measure_encoding(OH_CODEC_ALAW, -1, 0);
	for (int complexity = 0; complexity <= 10; complexity++) {
		measure_encoding(OH_CODEC_OPUS, complexity, 0);
		measure_encoding(OH_CODEC_OPUS, complexity, 0.1);
	}
	return 0;
}
