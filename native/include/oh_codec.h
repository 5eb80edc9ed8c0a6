/*
 * oh_codec.h - what a stream's audio is coded in, behind one face: G.711 in both laws.
 *
 * A codec has the rate of its audio and a number of RTP timestamp ticks for each sample of it. Audio is mono, 16 bits.
 * A decoder belongs to one stream and is given its packets in order; where one is missing it is told so, because a
 * codec with memory has to know. One thread at a time; decoding never allocates.
 */
#ifndef OH_CODEC_H
#define OH_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define OH_CODEC_SAMPLES_MAX 1920u /* of one packet: 120 ms at 16 kHz */
#define OH_CODEC_PAYLOAD_MAX 1275u /* bytes of one packet */

enum oh_codec {
	OH_CODEC_ULAW, /* G.711, 8 kHz */
	OH_CODEC_ALAW, /* G.711, 8 kHz */
};

struct oh_decoder {
	enum oh_codec codec;
};

/* Samples a second of the codec's audio. */
uint32_t oh_codec_rate_hz(enum oh_codec codec);

/* RTP timestamp ticks for a sample of audio. */
uint32_t oh_codec_ticks(enum oh_codec codec);

/* Samples that a payload holds, without decoding it: 1..OH_CODEC_SAMPLES_MAX. -EBADMSG: none that a decoder would take. */
int oh_codec_samples(enum oh_codec codec, const uint8_t *payload, size_t len);

/* Start a decoder. 0; -ENOMEM. */
int oh_decoder_open(struct oh_decoder *decoder, enum oh_codec codec);

/* Give back what it holds. Closing twice is harmless. */
void oh_decoder_close(struct oh_decoder *decoder);

/* Forget the stream: the next packet is the first of another one. */
void oh_decoder_reset(struct oh_decoder *decoder);

/* Decode the packet that follows; `pcm` has room for oh_codec_samples of it. Samples, or -EBADMSG: the packet is broken. */
int oh_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm);

/*
 * The packet that follows is missing: make up `n` samples of it as the codec itself would.
 *   next, next_len  the packet after the missing one where it is there (it may carry a copy of the missing one), or NULL
 * n, or 0: the codec knows nothing of that, and whoever asked has to make them up.
 */
int oh_decode_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n);

#endif
