/* codec.c - one face for all codecs; G.711 is here, Opus in opus.c. */
#include "oh_codec.h"

#include <errno.h>

#include "oh_g711.h"
#include "opus.h"

static enum oh_g711 law_of(enum oh_codec codec)
{
	return codec == OH_CODEC_ALAW ? OH_ALAW : OH_ULAW;
}

int oh_codec_samples(enum oh_codec codec, const uint8_t *payload, size_t len)
{
	if (len == 0 || len > OH_CODEC_PAYLOAD_MAX)
		return -EBADMSG;
	if (codec == OH_CODEC_OPUS)
		return oh_opus_samples(payload, len);
	return len > OH_CODEC_SAMPLES_MAX / 2u ? -EBADMSG : (int)len;
}

int oh_codec_copied(enum oh_codec codec, const uint8_t *payload, size_t len)
{
	return codec == OH_CODEC_OPUS ? oh_opus_copied(payload, len) : 0;
}

bool oh_codec_falls_silent(enum oh_codec codec, size_t len)
{
	return codec == OH_CODEC_OPUS && len <= OH_OPUS_SILENT;
}

/* ---- decoding ---- */

int oh_decoder_open(struct oh_decoder *decoder, enum oh_codec codec)
{
	*decoder = (struct oh_decoder){.codec = codec};
	return codec == OH_CODEC_OPUS ? oh_opus_decoder_open(decoder) : 0;
}

void oh_decoder_close(struct oh_decoder *decoder)
{
	oh_opus_decoder_close(decoder);
	*decoder = (struct oh_decoder){.codec = OH_CODEC_ULAW};
}

void oh_decoder_reset(struct oh_decoder *decoder)
{
	if (decoder->codec == OH_CODEC_OPUS)
		oh_opus_decoder_reset(decoder);
}

int oh_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm)
{
	int n = oh_codec_samples(decoder->codec, payload, len);

	if (n < 0)
		return n;
	if (decoder->codec == OH_CODEC_OPUS)
		return oh_opus_decode(decoder, payload, len, pcm, n);
	oh_g711_decode(law_of(decoder->codec), payload, pcm, (size_t)n);
	return n;
}

int oh_decode_aside(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm)
{
	int n = oh_codec_samples(decoder->codec, payload, len);

	if (n < 0 || decoder->codec != OH_CODEC_OPUS)
		return oh_decode(decoder, payload, len, pcm);
	return oh_opus_decode_aside(decoder, payload, len, pcm, n);
}

int oh_decode_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n)
{
	return decoder->codec == OH_CODEC_OPUS ? oh_opus_missing(decoder, next, next_len, pcm, n) : 0;
}

/* ---- encoding ---- */

int oh_encoder_open(struct oh_encoder *encoder, enum oh_codec codec, bool dtx)
{
	*encoder = (struct oh_encoder){.codec = codec, .dtx = dtx};
	return codec == OH_CODEC_OPUS ? oh_opus_encoder_open(encoder) : 0;
}

void oh_encoder_close(struct oh_encoder *encoder)
{
	oh_opus_encoder_close(encoder);
	*encoder = (struct oh_encoder){.codec = OH_CODEC_ULAW};
}

void oh_encoder_reset(struct oh_encoder *encoder)
{
	if (encoder->codec == OH_CODEC_OPUS)
		oh_opus_encoder_reset(encoder);
}

void oh_encoder_loss(struct oh_encoder *encoder, double share)
{
	if (encoder->codec == OH_CODEC_OPUS)
		oh_opus_encoder_loss(encoder, share);
}

bool oh_encoder_takes_ms(enum oh_codec codec, unsigned ms)
{
	return ms == 10 || ms == 20 || ms == 40 || ms == 60 || (ms == 30 && codec != OH_CODEC_OPUS);
}

int oh_encode(struct oh_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out, size_t cap)
{
	size_t a_ms = oh_codec_rate_hz(encoder->codec) / 1000u;

	if (n % a_ms != 0 || n > 60u * a_ms || !oh_encoder_takes_ms(encoder->codec, (unsigned)(n / a_ms)))
		return -EINVAL;
	if (encoder->codec == OH_CODEC_OPUS)
		return oh_opus_encode(encoder, pcm, n, out, cap);
	if (n > cap)
		return -ENOBUFS;
	oh_g711_encode(law_of(encoder->codec), pcm, out, n);
	return (int)n;
}
