/*
 * opus.h - the Opus half of oh_codec.h, for codec.c alone: each function does what its namesake there says.
 *
 * Not libopus' own header, which opus.c includes as <opus/opus.h>.
 */
#ifndef OH_OPUS_H
#define OH_OPUS_H

#include "oh_codec.h"

#define OH_OPUS_SILENT 2u /* bytes: so short a packet says that nothing is being said (libopus, "DTX") */

int  oh_opus_samples(const uint8_t *payload, size_t len);
int  oh_opus_copied(const uint8_t *payload, size_t len);
int  oh_opus_decoder_open(struct oh_decoder *decoder);
void oh_opus_decoder_close(struct oh_decoder *decoder);
void oh_opus_decoder_reset(struct oh_decoder *decoder);
int  oh_opus_decode(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm, int n);
int  oh_opus_decode_aside(struct oh_decoder *decoder, const uint8_t *payload, size_t len, int16_t *pcm, int n);
int  oh_opus_missing(struct oh_decoder *decoder, const uint8_t *next, size_t next_len, int16_t *pcm, size_t n);
int  oh_opus_encoder_open(struct oh_encoder *encoder);
void oh_opus_encoder_close(struct oh_encoder *encoder);
void oh_opus_encoder_reset(struct oh_encoder *encoder);
void oh_opus_encoder_loss(struct oh_encoder *encoder, double share);
int  oh_opus_encode(struct oh_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out, size_t cap);

#endif
