/*
 * oh_comfort.h - comfort noise: soft white noise at a level, the same for the same seed (RFC 3389 without the spectrum).
 *
 * Level is in -dBov as in RFC 3389 section 3: 0 is a full-scale square wave, 127 the quietest. 30 and less would be loud
 * noise at a stranger's word, so OH_COMFORT_LOUDEST is the most that is ever made.
 */
#ifndef OH_COMFORT_H
#define OH_COMFORT_H

#include <stddef.h>
#include <stdint.h>

#define OH_COMFORT_LOUDEST 40u /* -dBov; louder levels are brought down to this */
#define OH_COMFORT_USUAL   65u /* -dBov; where nobody said a level */

struct oh_comfort {
	uint32_t state; /* of the generator, never 0 */
	int32_t  last;  /* previous white sample: the softening filter's memory */
	int32_t  scale; /* level, as a factor in 1/65536 */
};

/* Start with a seed (any value) at OH_COMFORT_USUAL. */
void oh_comfort_init(struct oh_comfort *comfort, uint32_t seed);

/* Set the level in -dBov, 0..127; clamped to OH_COMFORT_LOUDEST..127. */
void oh_comfort_level(struct oh_comfort *comfort, unsigned minus_dbov);

/* Make n samples (RMS = 32768 * 10^(-level/20), about). */
void oh_comfort_fill(struct oh_comfort *comfort, int16_t *out, size_t n);

#endif
