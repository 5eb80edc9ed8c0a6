/*
 * oh_conceal.h - what to say where a packet is missing: repeat the voice's last pitch periods, fading.
 *
 * In the spirit of G.711 Appendix I, without its 3.75 ms of delay: 10 ms at full level, then 20 % less every 10 ms,
 * silent from 60 ms on; one pitch period is repeated at first, later two and three, so that it does not buzz. Comfort
 * noise rises as the voice fades. When real sound returns it is cross-faded with the made-up one.
 *
 * Call oh_conceal_heard with every real sample in order, oh_conceal_fill for every gap, or oh_conceal_gave where the codec
 * made up a gap's samples itself; never two of them for one sample. At 8 kHz, or at 16 after oh_conceal_rate.
 */
#ifndef OH_CONCEAL_H
#define OH_CONCEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_comfort.h"

#define OH_CONCEAL_HISTORY 400u /* samples kept at 8 kHz: three of the longest pitch periods and a quarter, and some */
#define OH_CONCEAL_LIMIT   480u /* samples at 8 kHz (60 ms) after which a concealed voice is silent */

struct oh_conceal {
	struct oh_comfort comfort;                     /* the noise under and after the voice */
	uint32_t          scale;                       /* 1 at 8 kHz, 2 at 16 */
	bool              given;                       /* the gap so far was made up by the codec */
	int16_t           history[2u * OH_CONCEAL_HISTORY]; /* the newest samples that went out, oldest first */
	int16_t           cycle[2u * OH_CONCEAL_HISTORY];   /* what is being repeated */
	uint32_t          cycle_len;                   /* samples of it: one, two or three pitch periods */
	uint32_t          cycle_at;                    /* next sample of it */
	uint32_t          period;                      /* pitch period found at the gap's start, samples */
	uint32_t          gone;                        /* samples made up since the last real one; 0: not in a gap */
	int32_t           step;                        /* jump at the gap's first sample, faded out over 2 ms */
};

/* Start, at 8 kHz: silence as history, comfort noise from this seed. */
void oh_conceal_init(struct oh_conceal *conceal, uint32_t seed);

/*
 * The stream goes on at another rate (8000 or 16000): its first samples are cross-faded with the voice up to here, as if
 * a gap had been before them.
 */
void oh_conceal_rate(struct oh_conceal *conceal, uint32_t rate_hz);

/*
 * Real samples arrived: smooths their beginning in place where a gap came before, and remembers them.
 */
void oh_conceal_heard(struct oh_conceal *conceal, int16_t *pcm, size_t n);

/* Make n samples for a gap. */
void oh_conceal_fill(struct oh_conceal *conceal, int16_t *out, size_t n);

/* The codec made n samples for a gap: they are faded out before the limit, in place, and remembered. */
void oh_conceal_gave(struct oh_conceal *conceal, int16_t *pcm, size_t n);

/* Samples of this gap until the limit, which is when nothing is left of the voice. */
static inline uint32_t oh_conceal_left(const struct oh_conceal *conceal)
{
	uint32_t limit = conceal->scale * OH_CONCEAL_LIMIT;

	return conceal->gone < limit ? limit - conceal->gone : 0;
}

/* Forget the voice: the next oh_conceal_fill is comfort noise alone (the caller's side said it is silent). */
void oh_conceal_hush(struct oh_conceal *conceal);

#endif
