/* opus.c - Opus at 16 kHz, mono, on libopus (RFC 6716; for telephony as RFC 7587 recommends it). */
#include "opus.h"

#include <errno.h>
#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>

enum {
	RATE_HZ = 16000,
	GRAIN = RATE_HZ / 400,  /* 2.5 ms: what the decoder can make up multiples of */
	FRAMES_MOST = 48,       /* in a packet (RFC 6716 section 3.2.5) */
	BITRATE = 24000,        /* bit/s: wideband speech with room for copies (RFC 7587 section 3.1.1 says 16 to 20 without) */
	COMPLEXITY = 5,         /* of 10: loadtest/codecs.py says what each costs */
};

/* ---- packets, undecoded ---- */

int oh_opus_samples(const uint8_t *payload, size_t len)
{
	const unsigned char *frames[FRAMES_MOST];
	opus_int16           sizes[FRAMES_MOST];
	unsigned char        toc;
	int                  count = opus_packet_parse(payload, (opus_int32)len, &toc, frames, sizes, NULL);
	int                  n;

	if (count <= 0) /* frames that lie about their lengths, or over 120 ms of them */
		return -EBADMSG;
	n = count * opus_packet_get_samples_per_frame(payload, RATE_HZ);
	return n > 0 && n <= (int)OH_CODEC_SAMPLES_MAX ? n : -EBADMSG;
}

/*
 * A SILK frame, alone or in a hybrid one, begins with a voice flag for each of its 20 ms and then the flag that says
 * whether copies follow (RFC 6716 sections 4.2.3 and 4.2.4). Both probabilities are one half, so that the range coder
 * leaves them where they were: in the first byte's highest bits.
 */
int oh_opus_copied(const uint8_t *payload, size_t len)
{
	const unsigned char *frames[FRAMES_MOST];
	opus_int16           sizes[FRAMES_MOST];
	int                  flags, n;

	if (payload[0] & 0x80) /* configurations 16 to 31: CELT alone, which copies nothing */
		return 0;
	if (opus_packet_parse(payload, (opus_int32)len, NULL, frames, sizes, NULL) <= 0 || sizes[0] == 0)
		return 0;
	n = opus_packet_get_samples_per_frame(payload, RATE_HZ);
	flags = n <= RATE_HZ / 50 ? 1 : n / (RATE_HZ / 50);
	return frames[0][0] >> (7 - flags) & 1 ? n : 0;
}

/* ---- decoding ---- */

static size_t decoder_size(void)
{
	return ((size_t)opus_decoder_get_size(1) + 63u) & ~(size_t)63;
}

int oh_opus_decoder_open(struct oh_decoder *decoder)
{
	size_t size = decoder_size();
	char  *block = calloc(2, size);

	if (block == NULL || opus_decoder_init((OpusDecoder *)(void *)block, RATE_HZ, 1) != OPUS_OK) {
		free(block);
		return -ENOMEM;
	}
	decoder->opus = (OpusDecoder *)(void *)block;
	decoder->aside = (OpusDecoder *)(void *)(block + size);
	return 0;
}

void oh_opus_decoder_close(struct oh_decoder *decoder)
{
	free(decoder->opus);
	decoder->opus = NULL;
	decoder->aside = NULL;
}

void oh_opus_decoder_reset(struct oh_decoder *decoder)
{
	(void)opus_decoder_ctl(decoder->opus, OPUS_RESET_STATE);
}

int oh_opus_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm, int n)
{
	return opus_decode(decoder->opus, payload, (opus_int32)len, pcm, n, 0) == n ? n : -EBADMSG;
}

int oh_opus_decode_aside(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm, int n)
{
	/* A state is one piece of memory that may be copied (opus/opus.h). */
	memcpy(decoder->aside, decoder->opus, decoder_size());
	return opus_decode(decoder->aside, payload, (opus_int32)len, pcm, n, 0) == n ? n : -EBADMSG;
}

int oh_opus_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n)
{
	opus_int32 len = next == NULL ? 0 : (opus_int32)next_len;

	if (n == 0 || n > OH_CODEC_SAMPLES_MAX || n % GRAIN != 0)
		return 0;
	/* With a packet and its last argument set it decodes the copy, and makes up what lies before that. */
	return opus_decode(decoder->opus, next, len, pcm, (int)n, next != NULL) == (int)n ? (int)n : 0;
}

/* ---- encoding ---- */

static int set_up(OpusEncoder *opus, bool dtx)
{
	if (opus_encoder_ctl(opus, OPUS_SET_BITRATE(BITRATE)) != OPUS_OK ||
	    opus_encoder_ctl(opus, OPUS_SET_COMPLEXITY(COMPLEXITY)) != OPUS_OK ||
	    opus_encoder_ctl(opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)) != OPUS_OK ||
	    opus_encoder_ctl(opus, OPUS_SET_INBAND_FEC(1)) != OPUS_OK ||
	    opus_encoder_ctl(opus, OPUS_SET_DTX(dtx ? 1 : 0)) != OPUS_OK)
		return -EINVAL;
	return 0;
}

int oh_opus_encoder_open(struct oh_encoder *encoder)
{
	OpusEncoder *opus = calloc(1, (size_t)opus_encoder_get_size(1));

	if (opus == NULL || opus_encoder_init(opus, RATE_HZ, 1, OPUS_APPLICATION_VOIP) != OPUS_OK || set_up(opus, encoder->dtx) < 0) {
		free(opus);
		return -ENOMEM;
	}
	encoder->opus = opus;
	return 0;
}

void oh_opus_encoder_close(struct oh_encoder *encoder)
{
	free(encoder->opus);
	encoder->opus = NULL;
}

void oh_opus_encoder_reset(struct oh_encoder *encoder)
{
	(void)opus_encoder_ctl(encoder->opus, OPUS_RESET_STATE); /* what was set up stays */
	encoder->silent = false;
}

void oh_opus_encoder_loss(struct oh_encoder *encoder, double share)
{
	int percent = share <= 0 ? 0 : share >= 1 ? 100 : (int)(share * 100 + 0.999); /* any loss at all is worth a copy */

	(void)opus_encoder_ctl(encoder->opus, OPUS_SET_PACKET_LOSS_PERC(percent));
}

int oh_opus_encode(struct oh_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out, size_t cap)
{
	opus_int32 room = cap < OH_CODEC_PAYLOAD_MAX ? (opus_int32)cap : (opus_int32)OH_CODEC_PAYLOAD_MAX;
	opus_int32 len = opus_encode(encoder->opus, pcm, (int)n, out, room);
	bool       told = encoder->silent;

	if (len <= 0)
		return len == OPUS_BUFFER_TOO_SMALL ? -ENOBUFS : -EINVAL;
	/* The first packet of a silence is sent: it is what tells the far end that the silence is meant. */
	encoder->silent = encoder->dtx && len <= (opus_int32)OH_OPUS_SILENT;
	return encoder->silent && told ? 0 : (int)len;
}
