/*
 * oh_g711.h - G.711 mu-law and A-law to and from 16-bit linear samples (ITU-T G.711, the formulas of G.191).
 *
 * Exact on every code and every sample. Stateless. Note that mu-law has two zeros: a tiny negative sample encodes
 * as 0x7F, which decodes to 0, which encodes as 0xFF.
 */
#ifndef OH_G711_H
#define OH_G711_H

#include <stddef.h>
#include <stdint.h>

#define OH_ULAW_SILENCE 0xFFu /* the mu-law code of sample 0 */
#define OH_ALAW_SILENCE 0xD5u /* the A-law code of sample 0 (decodes to 8, the smallest A-law knows) */

enum oh_g711 {
	OH_ULAW, /* PCMU, static payload type 0 (RFC 3551) */
	OH_ALAW, /* PCMA, static payload type 8 */
};

int16_t oh_ulaw_to_linear(uint8_t code);
uint8_t oh_linear_to_ulaw(int16_t sample);
int16_t oh_alaw_to_linear(uint8_t code);
uint8_t oh_linear_to_alaw(int16_t sample);

/* Decode n codes to n samples (one byte each); the buffers must not overlap. */
void oh_g711_decode(enum oh_g711 law, const uint8_t *codes, int16_t *samples, size_t n);

/* Encode n samples to n codes; the buffers must not overlap. */
void oh_g711_encode(enum oh_g711 law, const int16_t *samples, uint8_t *codes, size_t n);

#endif
