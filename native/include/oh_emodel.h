/*
 * oh_emodel.h - what people would say of a line: the E-model (ITU-T G.107), from what packets and time tell.
 *
 * R, the transmission rating, is 0 (hopeless) to 100; MOS the opinion on 1 (bad) to 4.5 that goes with it. All that
 * this server cannot know of a telephone (loudness, sidetone, noise in the room) has the Recommendation's default, with
 * which a line without delay and loss comes to R = 93.2 and MOS 4.41. Pure functions; any number may be given.
 *
 * The scale is that of narrowband telephony. A wideband call is put on the same scale: it sounds better than its figure.
 */
#ifndef OH_EMODEL_H
#define OH_EMODEL_H

#include "oh_codec.h"

struct oh_emodel_codec {
	double ie;  /* equipment impairment without loss, Ie */
	double bpl; /* robustness to loss, Bpl: percent */
};

/*
 * What a codec costs. G.711 with concealment: Ie 0, Bpl 25.1 (G.113 Appendix I). No Recommendation has figures for
 * others; they are taken to be as good as that.
 */
struct oh_emodel_codec oh_emodel_codec(enum oh_codec codec);

/*
 * R (7-1), without advantage (A = 0).
 *   missed       packets lost or too late, 0..1
 *   burst_ratio  BurstR (7-30): 1 for random loss, more where losses come in runs
 *   delay_ms     one way, mouth to ear (T = Ta = Tr/2); 0 for listening quality, in which nobody waits for an answer
 */
double oh_emodel_r(struct oh_emodel_codec codec, double missed, double burst_ratio, double delay_ms);

/* MOS of an R (Annex B): 1..4.5. */
double oh_emodel_mos(double r);

#endif
