/*
 * fuzz_opus.c - any payload through the Opus decoder. The bytes are a stream of packets, each behind three bytes: what to
 * do with it, and its length (big endian). What is counted is what is decoded, nothing is written past it, and a
 * decoder that was fed rubbish takes the next packet all the same. corpus/opus holds streams that libopus made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oh_codec.h"

enum { GUARD = 64, MARK = 0x5a5a };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int16_t pcm[OH_CODEC_SAMPLES_MAX + GUARD];

static void mark(void)
{
	for (size_t i = 0; i < sizeof(pcm) / sizeof(*pcm); i++)
		pcm[i] = MARK;
}

/* Nothing may lie beyond the n samples that were promised. */
static void check_guard(int n)
{
	for (size_t i = n > 0 ? (size_t)n : OH_CODEC_SAMPLES_MAX; i < sizeof(pcm) / sizeof(*pcm); i++)
		if (pcm[i] != MARK)
			abort();
}

static void check_decoded(int is, int promised)
{
	if (is != promised && is != -EBADMSG)
		abort();
	check_guard(promised);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oh_decoder decoder; /* lives on: opening one for each run would be most of the work */

	if (decoder.opus == NULL && oh_decoder_open(&decoder, OH_CODEC_OPUS) < 0)
		abort();
	oh_decoder_reset(&decoder);
	while (size >= 3) {
		uint8_t        what = data[0];
		size_t         len = ((size_t)data[1] << 8 | data[2]) % (OH_CODEC_PAYLOAD_MAX + 20u);
		const uint8_t *payload = data + 3;
		int            n, copied;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		n = oh_codec_samples(OH_CODEC_OPUS, payload, len);
		if (n != -EBADMSG && (n < 1 || n > (int)OH_CODEC_SAMPLES_MAX || n % 40 != 0))
			abort();
		copied = n > 0 ? oh_codec_copied(OH_CODEC_OPUS, payload, len) : 0;
		if (copied < 0 || copied > (n > 0 ? n : 0))
			abort();
		mark();
		switch (what % 8) {
		case 0:
			check_decoded(oh_decode_aside(&decoder, payload, len, pcm), n);
			break;
		case 1: /* what was before it is missing */
			if (n > 0) {
				int lost = what / 8 * 80;
				int made = oh_decode_missing(&decoder, payload, len, pcm, (size_t)lost);

				if (made != 0 && made != lost)
					abort();
				check_guard(lost);
				mark();
			}
			check_decoded(oh_decode(&decoder, payload, len, pcm), n);
			break;
		case 2: {
			int lost = what / 8 * 40;
			int made = oh_decode_missing(&decoder, NULL, 0, pcm, (size_t)lost);

			if (made != 0 && made != lost)
				abort();
			check_guard(lost);
			break;
		}
		case 3:
			if (what == 3)
				oh_decoder_reset(&decoder);
			break;
		default:
			check_decoded(oh_decode(&decoder, payload, len, pcm), n);
		}
		data += len;
		size -= len;
	}
	return 0;
}
