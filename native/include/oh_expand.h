/*
 * oh_expand.h - let a voice go on past its last sample: what a gap in it is filled with.
 *
 * The last pitch period is repeated, later two and three, so that it does not buzz; it fades, and comfort noise rises
 * under it. As G.711 Appendix I does it, without that one's 3.75 ms of delay, at 8 and 16 kHz, and with the period found
 * to the sample at both rates.
 */
#ifndef OH_EXPAND_H
#define OH_EXPAND_H

#include <stddef.h>
#include <stdint.h>

#include "oh_comfort.h"
#include "oh_stretch.h"

#define OH_EXPAND_PAST_MS 60u  /* sound before the gap that is looked at */
#define OH_EXPAND_PAST    960u /* the same in samples at 16 kHz */

struct oh_expand {
	int16_t  past[OH_EXPAND_PAST];         /* the newest samples at the gap's start */
	int16_t  cycle[3 * OH_STRETCH_MOST];   /* what is being repeated */
	uint32_t rate_hz;
	uint32_t past_len;
	uint32_t cycle_len;                    /* one, two or three pitch periods */
	uint32_t cycle_at;                     /* next sample of it */
	uint32_t period;                       /* samples */
	uint32_t gone;                         /* samples made so far */
	uint32_t full;                         /* so many at full level ... */
	int32_t  gain, slope;                  /* ... and what each then takes off the gain, of 2^24 */
	int32_t  step;                         /* jump at the first sample, faded out */
};

/*
 * Begin where the sound ends.
 *   end      behind its last sample; OH_EXPAND_PAST_MS of it lie before
 */
void oh_expand_begin(struct oh_expand *expand, const int16_t *end, uint32_t rate_hz);

/* The voice is to be silent `samples` from now. */
void oh_expand_hush(struct oh_expand *expand, uint32_t samples);

/* Make the next n samples; `comfort` makes the noise. */
void oh_expand_make(struct oh_expand *expand, struct oh_comfort *comfort, int16_t *out, size_t n);

#endif
