/*
 * oh_resample.h - 8 kHz to 16 kHz and back, one stream at a time, in blocks of any length.
 *
 * One half-band filter for both ways: 79 taps (Kaiser window), flat within 0.1 dB to 3.4 kHz, at least 65 dB down from
 * 4.6 kHz, 39 samples at 16 kHz (2.44 ms) of delay each way. Every second tap but the middle one is zero, so up costs
 * 40 multiply-adds a pair of outputs and down 40 an output. 16-bit in and out, saturating. The state belongs to one
 * stream; blocks join without a seam.
 */
#ifndef OH_RESAMPLE_H
#define OH_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define OH_HALF_TAPS      40u /* taps of the half-band filter that are not zero, the middle one aside */
#define OH_RESAMPLE_DELAY 39u /* delay of either direction, in samples at 16 kHz */

struct oh_up {                              /* 8 -> 16 kHz */
	int16_t past[OH_HALF_TAPS - 1u];     /* the newest inputs, oldest first */
};

struct oh_down {                            /* 16 -> 8 kHz */
	int16_t even[OH_HALF_TAPS - 1u];     /* the newest inputs at even places, oldest first */
	int16_t odd[OH_HALF_TAPS / 2u];      /* the newest inputs at odd places, oldest first */
	int16_t odd_next;                    /* 1: the next input is at an odd place */
};

/* Start (or start again): silence before the first sample. */
void oh_up_init(struct oh_up *up);
void oh_down_init(struct oh_down *down);

/*
 * n samples at 8 kHz in, exactly 2 * n at 16 kHz out. in and out must not overlap.
 */
void oh_up_run(struct oh_up *up, const int16_t *in, size_t n, int16_t *out);

/*
 * n samples at 16 kHz in; returns the samples at 8 kHz written to out: n / 2 for even n; for odd n
 * (n + 1) / 2 and n / 2 by turns (out needs room for (n + 1) / 2). in and out must not overlap.
 */
size_t oh_down_run(struct oh_down *down, const int16_t *in, size_t n, int16_t *out);

#endif
