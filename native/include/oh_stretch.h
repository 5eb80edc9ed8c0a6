/*
 * oh_stretch.h - make speech shorter or longer by whole pitch periods, and join two pieces where they fit.
 *
 * All by overlap and add where a piece of sound is most like another (normalised correlation), so that no period is cut
 * and nothing clicks. What is quieter than OH_STRETCH_QUIET needs no likeness: there any amount is taken or put in.
 * Sound is at 8 or 16 kHz.
 */
#ifndef OH_STRETCH_H
#define OH_STRETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_STRETCH_LEAST_US 2500u  /* shortest pitch period: 400 Hz */
#define OH_STRETCH_MOST_US  15000u /* longest: 66 Hz */
#define OH_STRETCH_MOST     240u   /* the same in samples at 16 kHz */

/* Root mean square of n samples. */
int32_t oh_stretch_level(const int16_t *pcm, size_t n);

/*
 * The lag from `least` to `most` at which the `window` samples from pcm on are most like those `lag` before them
 * (`back` true) or after them; samples up to most + window away are looked at.
 *   likeness  how alike: -1..1; NULL: not wanted
 */
size_t oh_stretch_lag(const int16_t *pcm, bool back, size_t window, size_t least, size_t most, float *likeness);

/*
 * Shorten n samples from their beginning on, in place, by at most `most` samples.
 *   quiet     level (root mean square) below which it is quiet
 *   likeness  least that will do where it is not
 * How many were taken out: 0, or the shortest period and more. The rest is n less that.
 */
size_t oh_stretch_shorten(int16_t *pcm, size_t n, uint32_t rate_hz, size_t most, int32_t quiet,
                          float likeness);

/*
 * Lengthen n samples from their beginning on, in place, by at most `most`; there is room for them behind.
 *   pcm       what is there already, OH_STRETCH_MOST_US of it before pcm[0] too
 * How many were put in, as above.
 */
size_t oh_stretch_lengthen(int16_t *pcm, size_t n, uint32_t rate_hz, size_t most, int32_t quiet,
                          float likeness);

/* from[i] fades into to[i], over n samples; out may be either. */
void oh_stretch_fade(int16_t *out, const int16_t *from, const int16_t *to, size_t n);

#endif
