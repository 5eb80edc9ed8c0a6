/* codec.c - one face for all codecs. */
#include "oh_codec.h"

#include <errno.h>

#include "oh_g711.h"

uint32_t oh_codec_rate_hz(enum oh_codec codec)
{
	(void)codec;
	return 8000;
}

uint32_t oh_codec_ticks(enum oh_codec codec)
{
	(void)codec;
	return 1;
}

int oh_codec_samples(enum oh_codec codec, const uint8_t *payload, size_t len)
{
	(void)codec;
	(void)payload;
	return len == 0 || len > OH_CODEC_SAMPLES_MAX / 2u ? -EBADMSG : (int)len;
}

int oh_decoder_open(struct oh_decoder *decoder, enum oh_codec codec)
{
	decoder->codec = codec;
	return 0;
}

void oh_decoder_close(struct oh_decoder *decoder)
{
	(void)decoder;
}

void oh_decoder_reset(struct oh_decoder *decoder)
{
	(void)decoder;
}

int oh_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm)
{
	int n = oh_codec_samples(decoder->codec, payload, len);

	if (n > 0)
		oh_g711_decode(decoder->codec == OH_CODEC_ALAW ? OH_ALAW : OH_ULAW, payload, pcm, (size_t)n);
	return n;
}

int oh_decode_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n)
{
	(void)decoder;
	(void)next;
	(void)next_len;
	(void)pcm;
	(void)n;
	return 0;
}
