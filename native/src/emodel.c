/*
 * emodel.c - the E-model: ITU-T G.107 (06/2015), section 7, with the default values of its table 2.
 *
 * The names are the Recommendation's, and each line has its equation's number. What depends on nothing that is ever
 * known here is arithmetic on constants, which the compiler does.
 */
#include "oh_emodel.h"

#include <math.h>

/* Table 2: dB where not said otherwise. */
#define SLR  8.0    /* send loudness rating */
#define RLR  2.0    /* receive loudness rating */
#define OLR  (SLR + RLR)
#define STMR 15.0   /* sidetone masking rating */
#define DS   3.0    /* D-value of the telephone, send side */
#define DR   3.0    /* receive side */
#define LSTR (STMR + DR)
#define TELR 65.0   /* talker echo loudness rating */
#define WEPL 110.0  /* weighted echo path loss */
#define QDU  1.0    /* quantisation distortion units */
#define NC   (-70.0) /* circuit noise, dBm0p */
#define NFOR (-64.0) /* noise floor at the receive side, dBmp */
#define PS   35.0   /* room noise, send side, dB(A) */
#define PR   35.0   /* receive side */
#define MT   100.0  /* delay that nobody minds, ms */

#define DELAY_MOST_MS 10000.0
#define BURST_MOST    1000.0

static double power(double db)
{
	return pow(10.0, db / 10.0);
}

static double no(void) /* 7.2: sum of all noise */
{
	double nos = PS - SLR - DS - 100.0 + 0.004 * pow(PS - OLR - DS - 14.0, 2.0); /* (7-4) */
	double pre = PR + 10.0 * log10(1.0 + power(10.0 - LSTR)); /* (7-6) */
	double nor = RLR - 121.0 + pre + 0.008 * pow(pre - 35.0, 2.0); /* (7-5) */
	double nfo = NFOR + RLR; /* (7-7) */

	return 10.0 * log10(power(NC) + power(nos) + power(nor) + power(nfo)); /* (7-3) */
}

static double ro(void) /* 7.2: signal to noise */
{
	return 15.0 - 1.5 * (SLR + no()); /* (7-2) */
}

static double is(double t_ms) /* 7.3: what comes along with the voice */
{
	double xolr = OLR + 0.2 * (64.0 + no() - RLR); /* (7-10) */
	double iolr = 20.0 * (pow(1.0 + pow(xolr / 8.0, 8.0), 1.0 / 8.0) - xolr / 8.0); /* (7-9) */
	double stmro = -10.0 * log10(power(-STMR) + exp(-t_ms / 4.0) * power(-TELR)); /* (7-12) */
	double ist = 12.0 * pow(1.0 + pow((stmro - 13.0) / 6.0, 8.0), 1.0 / 8.0) -
	             28.0 * pow(1.0 + pow((stmro + 1.0) / 19.4, 35.0), 1.0 / 35.0) -
	             13.0 * pow(1.0 + pow((stmro - 3.0) / 33.0, 13.0), 1.0 / 13.0) + 29.0; /* (7-11) */
	double q = 37.0 - 15.0 * log10(QDU); /* (7-17) */
	double g = 1.07 + 0.258 * q + 0.0602 * q * q; /* (7-16) */
	double y = (ro() - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0; /* (7-14) */
	double z = 46.0 / 30.0 - g / 40.0; /* (7-15) */
	double iq = 15.0 * log10(1.0 + pow(10.0, y) + pow(10.0, z)); /* (7-13) */

	return iolr + ist + iq; /* (7-8) */
}

/* How much more an echo costs than what is there without it; `slack` rounds the corner. */
static double exceeds(double is_there, double echo, double slack)
{
	double half = (is_there - echo) / 2.0;

	return half + sqrt(half * half + slack);
}

static double id(double t_ms) /* 7.4: delay */
{
	double roe = -1.5 * (no() - RLR); /* (7-20) */
	double terv = TELR - 40.0 * log10((1.0 + t_ms / 10.0) / (1.0 + t_ms / 150.0)) +
	              6.0 * exp(-0.3 * t_ms * t_ms); /* (7-22) */
	double re = 80.0 + 2.5 * (terv - 14.0); /* (7-21) */
	double idte = (exceeds(roe, re, 100.0) - 1.0) * (1.0 - exp(-t_ms)); /* (7-19) */
	double rle = 10.5 * (WEPL + 7.0) * pow(2.0 * t_ms + 1.0, -0.25); /* (7-26) */
	double idle = exceeds(ro(), rle, 169.0); /* (7-25) */
	double idd = 0.0;

	if (t_ms > MT) {
		double x = log2(t_ms / MT); /* (7-28) */

		idd = 25.0 * (pow(1.0 + pow(x, 6.0), 1.0 / 6.0) -
		              3.0 * pow(1.0 + pow(x / 3.0, 6.0), 1.0 / 6.0) + 2.0); /* (7-27) */
	}
	return idte + idle + idd; /* (7-18) */
}

/* Not a number becomes the least. */
static double within(double value, double least, double most)
{
	return value > least ? (value < most ? value : most) : least;
}

struct oh_emodel_codec oh_emodel_codec(enum oh_codec codec)
{
	(void)codec;
	return (struct oh_emodel_codec){.ie = 0.0, .bpl = 25.1};
}

double oh_emodel_r(struct oh_emodel_codec codec, double missed, double burst_ratio, double delay_ms)
{
	double ppl = 100.0 * within(missed, 0.0, 1.0);
	double burst_r = within(burst_ratio, 1.0, BURST_MOST);
	double t_ms = within(delay_ms, 0.0, DELAY_MOST_MS);
	double ie_eff = codec.ie + (95.0 - codec.ie) * ppl / (ppl / burst_r + codec.bpl); /* (7-29) */

	return within(ro() - is(t_ms) - id(t_ms) - ie_eff, 0.0, 100.0); /* (7-1) */
}

double oh_emodel_mos(double r)
{
	double known = within(r, 0.0, 100.0);

	return within(1.0 + 0.035 * known + known * (known - 60.0) * (100.0 - known) * 7e-6, 1.0, 4.5); /* (B-4) */
}
