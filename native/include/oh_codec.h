/*
 * oh_codec.h - what a stream's audio is coded in, behind one face: G.711 in both laws, and Opus.
 *
 * A codec has the rate of its audio and a number of RTP timestamp ticks for each sample of it. Audio is mono, 16 bits.
 * Opus (RFC 6716, 7587) runs at 16 kHz here whatever the far end's rate, on an RTP clock of 48 kHz.
 *
 * A decoder belongs to one stream and is given its packets in order; where one is missing it is told so, because a
 * codec with memory has to know. An encoder likewise. Memory is taken when one is opened (Opus: OH_CODEC_OPUS_BYTES for
 * a pair, see the test; G.711: none) and given back when it is closed; nothing in between allocates. One thread at a
 * time, which need not be the one that opened it.
 */
#ifndef OH_CODEC_H
#define OH_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_CODEC_SAMPLES_MAX 1920u  /* of one packet: 120 ms at 16 kHz */
#define OH_CODEC_PAYLOAD_MAX 1275u  /* bytes of one packet */
#define OH_CODEC_OPUS_BYTES  81920u /* more than an Opus decoder and encoder take together */

enum oh_codec {
	OH_CODEC_ULAW, /* G.711, 8 kHz */
	OH_CODEC_ALAW, /* G.711, 8 kHz */
	OH_CODEC_OPUS, /* 16 kHz, RTP clock 48 kHz */
};

struct OpusDecoder;
struct OpusEncoder;

struct oh_decoder {
	enum oh_codec       codec;
	struct OpusDecoder *opus;  /* OH_CODEC_OPUS: its memory ... */
	struct OpusDecoder *aside; /* ... and as much again, for oh_decode_aside; in the same block */
};

struct oh_encoder {
	enum oh_codec       codec;
	struct OpusEncoder *opus;   /* OH_CODEC_OPUS: its memory */
	bool                dtx;
	bool                silent; /* the far end has been told that nothing is being said */
};

/* Samples a second of the codec's audio. */
static inline uint32_t oh_codec_rate_hz(enum oh_codec codec)
{
	return codec == OH_CODEC_OPUS ? 16000u : 8000u;
}

/* RTP timestamp ticks for a sample of audio. */
static inline uint32_t oh_codec_ticks(enum oh_codec codec)
{
	return codec == OH_CODEC_OPUS ? 3u : 1u;
}

/* Ticks a second: the codec's clock in RTP and RTCP. */
static inline uint32_t oh_codec_clock_hz(enum oh_codec codec)
{
	return oh_codec_rate_hz(codec) * oh_codec_ticks(codec);
}

/*
 * Samples that a payload holds, without decoding it: 1..OH_CODEC_SAMPLES_MAX. -EBADMSG: none that a decoder would take
 * (empty, over OH_CODEC_PAYLOAD_MAX bytes or 120 ms; Opus: frames that do not add up, RFC 6716 section 3.4).
 */
int oh_codec_samples(enum oh_codec codec, const uint8_t *payload, size_t len);

/*
 * Samples of the packet before it that a payload carries a copy of (Opus in-band FEC, RFC 6716 section 2.1.7), for
 * oh_decode_missing; 0: none. The payload must have been found good by oh_codec_samples.
 */
int oh_codec_copied(enum oh_codec codec, const uint8_t *payload, size_t len);

/* Does the payload say that its sender falls silent, and may send nothing for a while (Opus DTX)? */
bool oh_codec_falls_silent(enum oh_codec codec, size_t len);

/* ---- decoding ---- */

/* Start a decoder. 0; -ENOMEM. */
int oh_decoder_open(struct oh_decoder *decoder, enum oh_codec codec);

/* Give back what it holds; it is a closed u-law decoder then. Closing twice is harmless. */
void oh_decoder_close(struct oh_decoder *decoder);

/* Forget the stream: the next packet is the first of another one. */
void oh_decoder_reset(struct oh_decoder *decoder);

/* Decode the packet that follows; `pcm` has room for oh_codec_samples of it. Samples, or -EBADMSG: the packet is broken. */
int oh_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm);

/* Decode a packet that the stream has passed, as well as may be; the stream goes on as if nothing had been. Likewise. */
int oh_decode_aside(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm);

/*
 * The packet that follows is missing: make up `n` samples of it as the codec itself would.
 *   next, next_len  the packet after the missing one where it is there (it may carry a copy of the missing one: then the
 *                   last oh_codec_copied samples are what was said), or NULL
 *   n               up to OH_CODEC_SAMPLES_MAX; Opus can do multiples of 2.5 ms
 * n, or 0: the codec knows nothing of that, and whoever asked has to make them up.
 */
int oh_decode_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n);

/* ---- encoding ---- */

/*
 * Start an encoder. 0; -ENOMEM.
 *   dtx  send next to nothing while nothing is said (Opus; G.711 has none)
 */
int oh_encoder_open(struct oh_encoder *encoder, enum oh_codec codec, bool dtx);

/* Give back what it holds; it is a closed u-law encoder then. Closing twice is harmless. */
void oh_encoder_close(struct oh_encoder *encoder);

/* Forget the stream: the next samples begin another one. */
void oh_encoder_reset(struct oh_encoder *encoder);

/* The far end loses this share (0..1) of what is sent, by its RTCP: Opus spends bits on copies accordingly. */
void oh_encoder_loss(struct oh_encoder *encoder, double share);

/* Can a packet hold so many milliseconds? 10, 20, 40 and 60; G.711 also 30. */
bool oh_encoder_takes_ms(enum oh_codec codec, unsigned ms);

/*
 * Code n samples (one packet's, see oh_encoder_takes_ms) into `out`.
 * Bytes; 0: silence that need not be sent (DTX); -EINVAL: no packet has so many samples; -ENOBUFS: more than `cap`
 * bytes (OH_CODEC_PAYLOAD_MAX is always enough).
 */
int oh_encode(struct oh_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out, size_t cap);

#endif
