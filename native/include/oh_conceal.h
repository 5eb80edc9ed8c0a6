/*
 * oh_conceal.h - what to say where a packet is missing: repeat the voice's last pitch periods, fading (8 kHz).
 *
 * In the spirit of G.711 Appendix I, without its 3.75 ms of delay: 10 ms at full level, then 20 % less every 10 ms,
 * silent from 60 ms on; one pitch period is repeated at first, later two and three, so that it does not buzz. Comfort
 * noise rises as the voice fades. When real sound returns it is cross-faded with the made-up one.
 *
 * Call oh_conceal_heard with every real sample in order, oh_conceal_fill for every gap, never both for one sample.
 */
#ifndef OH_CONCEAL_H
#define OH_CONCEAL_H

#include <stddef.h>
#include <stdint.h>

#include "oh_comfort.h"

#define OH_CONCEAL_HISTORY 400u /* samples kept: three of the longest pitch periods and a quarter, and some */
#define OH_CONCEAL_LIMIT   480u /* samples (60 ms) after which a concealed voice is silent */

struct oh_conceal {
	struct oh_comfort comfort;                     /* the noise under and after the voice */
	int16_t           history[OH_CONCEAL_HISTORY]; /* the newest samples that went out, oldest first */
	int16_t           cycle[OH_CONCEAL_HISTORY];   /* what is being repeated */
	uint32_t          cycle_len;                   /* samples of it: one, two or three pitch periods */
	uint32_t          cycle_at;                    /* next sample of it */
	uint32_t          period;                      /* pitch period found at the gap's start, samples */
	uint32_t          gone;                        /* samples made up since the last real one; 0: not in a gap */
	int32_t           step;                        /* jump at the gap's first sample, faded out over 2 ms */
};

/* Start: silence as history, comfort noise from this seed. */
void oh_conceal_init(struct oh_conceal *conceal, uint32_t seed);

/*
 * Real samples arrived: smooths their beginning in place where a gap came before, and remembers them.
 */
void oh_conceal_heard(struct oh_conceal *conceal, int16_t *pcm, size_t n);

/* Make n samples for a gap. */
void oh_conceal_fill(struct oh_conceal *conceal, int16_t *out, size_t n);

/* Forget the voice: the next oh_conceal_fill is comfort noise alone (the caller's side said it is silent). */
void oh_conceal_hush(struct oh_conceal *conceal);

#endif
