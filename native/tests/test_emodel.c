/* test_emodel.c - the E-model held against what the Recommendations print. */
#include <math.h>

#include "check.h"
#include "oh_emodel.h"

static double r_of(double missed, double burst_ratio, double delay_ms)
{
	return oh_emodel_r(oh_emodel_codec(OH_CODEC_ULAW), missed, burst_ratio, delay_ms);
}

static void near(double is, double should, double by)
{
	if (fabs(is - should) > by) {
		fprintf(stderr, "is %g, should be %g within %g\n", is, should, by);
		exit(1);
	}
}

/* G.107 section 7.7: with every parameter at its default R is 93.2; Annex B makes that MOS 4.41. */
static void a_line_without_fault_has_the_default_rating(void)
{
	near(r_of(0, 1, 0), 93.2, 0.05);
	near(oh_emodel_mos(r_of(0, 1, 0)), 4.41, 0.005);
}

/* G.107 table B.1. */
static void ratings_are_the_opinions_that_the_table_has(void)
{
	static const double table[][2] = {{90, 4.34}, {80, 4.03}, {70, 3.60}, {60, 3.10}, {50, 2.58}};

	for (size_t i = 0; i < 5; i++)
		near(oh_emodel_mos(table[i][0]), table[i][1], 0.01);
	CHECK(oh_emodel_mos(0) == 1.0 && oh_emodel_mos(-20) == 1.0 && oh_emodel_mos(NAN) == 1.0);
	CHECK(oh_emodel_mos(100) == 4.5 && oh_emodel_mos(1e300) == 4.5);
}

/* TIA TSB-116 prints R over one-way delay for G.711 with TELR 65, from an undelayed 94; that model's default was 1 more. */
static void delay_costs_what_the_planning_tables_say(void)
{
	static const double table[][2] = {{50, 93}, {100, 92}, {150, 90}, {200, 87}, {250, 80},
	                                  {300, 74}, {350, 68}, {400, 63}, {450, 59}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		near(r_of(0, 1, table[i][0]), table[i][1] - 1, 0.7);
}

/* G.113 Appendix I, Ie of G.711 with concealment under random loss, which (7-29) with Bpl 25.1 was fitted to. */
static void loss_costs_what_the_impairment_table_says(void)
{
	static const double table[][2] = {{2, 7}, {3, 10}, {5, 15}, {7, 20}, {10, 25}, {15, 35}, {20, 45}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		near(r_of(0, 1, 0) - r_of(table[i][0] / 100, 1, 0), table[i][1], 3);
}

/* (7-29) by hand: 5 % in runs twice as long as random ones; 95 * 5 / (5 / 2 + 25.1). */
static void loss_in_bursts_costs_more(void)
{
	near(r_of(0, 1, 0) - r_of(0.05, 2, 0), 17.21, 0.01);
	near(r_of(0, 1, 0) - r_of(0.05, 1, 0), 15.78, 0.01);
}

static void any_number_gives_a_rating(void)
{
	static const double odd[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e-300, 0.5, 1, 2, 1e300};

	for (size_t a = 0; a < 10; a++)
		for (size_t b = 0; b < 10; b++)
			for (size_t c = 0; c < 10; c++) {
				double r = r_of(odd[a], odd[b], odd[c]);

				CHECK(r >= 0 && r <= 100);
				CHECK(oh_emodel_mos(r) >= 1 && oh_emodel_mos(r) <= 4.5);
			}
}

static void more_loss_and_more_delay_are_never_better(void)
{
	double before = 100;

	for (double missed = 0; missed <= 1; missed += 0.01) {
		CHECK(r_of(missed, 1, 0) <= before);
		before = r_of(missed, 1, 0);
	}
	before = 100;
	for (double delay_ms = 0; delay_ms <= 2000; delay_ms += 10) {
		CHECK(r_of(0, 1, delay_ms) <= before + 1e-9);
		before = r_of(0, 1, delay_ms);
	}
}

int main(void)
{
	RUN(a_line_without_fault_has_the_default_rating);
	RUN(ratings_are_the_opinions_that_the_table_has);
	RUN(delay_costs_what_the_planning_tables_say);
	RUN(loss_costs_what_the_impairment_table_says);
	RUN(loss_in_bursts_costs_more);
	RUN(any_number_gives_a_rating);
	RUN(more_loss_and_more_delay_are_never_better);
	return 0;
}
