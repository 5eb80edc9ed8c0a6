/* test_voip.c - bursts and gaps: what RFC 3611 calls by these names, counted over any order of packets. */
#include "check.h"
#include "oh_voip.h"

/* The stream as a row of letters, a packet each: `.` came, `x` never, `l` too late. Then enough to judge them all. */
static void hear(struct oh_voip *voip, const char *row, uint16_t first)
{
	uint16_t seq = first;

	for (; *row; row++, seq++)
		if (*row != 'x')
			oh_voip_heard(voip, 7, seq, *row == 'l');
	for (unsigned i = 0; i < OH_VOIP_WINDOW; i++)
		oh_voip_heard(voip, 7, seq++, false);
}

static void figures_of(const char *row, struct oh_voip_counts *counts, struct oh_voip_figures *figures)
{
	struct oh_voip voip = {0};

	hear(&voip, row, 65530); /* over the wrap */
	oh_voip_whole(&voip, counts);
	oh_voip_figures(counts, figures);
	CHECK_INT(counts->packets, strlen(row));
	CHECK_INT(counts->burst_packets + counts->gap_packets, counts->packets);
	CHECK_INT(counts->burst_missed + counts->gap_missed, counts->lost + counts->discarded);
}

static void nothing_lost_is_one_gap(void)
{
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;

	figures_of("..................................................", &counts, &figures);
	CHECK_INT(counts.lost + counts.discarded + counts.bursts, 0);
	CHECK_INT(counts.gaps, 1);
	CHECK(figures.gap_packets == 50.0 && figures.burst_packets == 0.0 && figures.burst_ratio == 1.0);
}

static void nothing_heard_is_no_figure(void)
{
	struct oh_voip         voip = {0};
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;

	oh_voip_whole(&voip, &counts);
	oh_voip_figures(&counts, &figures);
	CHECK_INT(counts.packets, 0);
	CHECK(figures.lost == 0.0 && figures.burst_ratio == 1.0);
}

static void a_lone_packet_belongs_to_the_gap_around_it(void)
{
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;

	figures_of("....................x................l................", &counts, &figures);
	CHECK_INT(counts.bursts, 0);
	CHECK_INT(counts.gaps, 1);
	CHECK_INT(counts.lost, 1);
	CHECK_INT(counts.discarded, 1);
	CHECK_INT(counts.gap_missed, 2);
	CHECK(figures.gap_density == 2.0 / 54.0);
}

static void sixteen_received_part_two_bursts_and_fifteen_do_not(void)
{
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;

	figures_of("..........xx...............xx................", &counts, &figures); /* 15 between */
	CHECK_INT(counts.bursts, 1);
	CHECK_INT(counts.burst_packets, 19);
	CHECK_INT(counts.burst_missed, 4);
	CHECK_INT(counts.gaps, 2);
	CHECK(figures.burst_density == 4.0 / 19.0 && figures.gap_density == 0.0 && figures.gap_packets == 13.0);

	figures_of("..........xx................xx................", &counts, &figures); /* 16 between */
	CHECK_INT(counts.bursts, 2);
	CHECK_INT(counts.burst_packets, 4);
	CHECK_INT(counts.gaps, 3);
	CHECK(figures.burst_density == 1.0 && figures.burst_packets == 2.0);
}

static void lost_and_discarded_packets_make_a_burst_together(void)
{
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;

	figures_of("....................xl.l.x....................", &counts, &figures);
	CHECK_INT(counts.bursts, 1);
	CHECK_INT(counts.burst_packets, 6);
	CHECK_INT(counts.lost, 2);
	CHECK_INT(counts.discarded, 2);
	CHECK_INT(counts.runs, 3);
}

static void what_comes_out_of_order_is_not_lost_and_what_comes_twice_is_one(void)
{
	struct oh_voip        voip = {0};
	struct oh_voip_counts counts;

	for (uint16_t seq = 0; seq < 400; seq += 2) {
		oh_voip_heard(&voip, 7, (uint16_t)(seq + 1), false);
		oh_voip_heard(&voip, 7, (uint16_t)(seq + 1), true); /* a copy: it tells nothing */
		oh_voip_heard(&voip, 7, seq, false);
	}
	oh_voip_whole(&voip, &counts);
	CHECK_INT(counts.packets, 400 - 1 - OH_VOIP_WINDOW); /* number 0 came when the stream had begun with 1 */
	CHECK_INT(counts.lost + counts.discarded, 0);
}

static void a_packet_is_late_as_long_as_the_window_and_lost_beyond(void)
{
	struct oh_voip        voip = {0};
	struct oh_voip_counts counts;

	oh_voip_heard(&voip, 7, 0, false);
	for (uint16_t seq = 3; seq < 32 + 3; seq++)
		oh_voip_heard(&voip, 7, seq, false); /* 34 is the newest, 3 the oldest of the window */
	oh_voip_heard(&voip, 7, 1, true);
	oh_voip_heard(&voip, 7, 2, true);
	oh_voip_whole(&voip, &counts);
	CHECK_INT(counts.packets, 3);
	CHECK_INT(counts.lost, 2);
	CHECK_INT(counts.discarded, 0);
}

static void a_hole_of_any_length_is_counted_whole_and_a_jump_is_none(void)
{
	for (unsigned hole = 1; hole < 2 * OH_VOIP_JUMP; hole += 7) {
		struct oh_voip        voip = {0};
		struct oh_voip_counts counts;
		uint16_t              seq = 65000;

		for (unsigned i = 0; i < 100; i++)
			oh_voip_heard(&voip, 7, seq++, false);
		seq = (uint16_t)(seq + hole);
		for (unsigned i = 0; i < 100; i++)
			oh_voip_heard(&voip, 7, seq++, false);
		oh_voip_whole(&voip, &counts);
		/* ahead = hole + 1 */
		CHECK_INT(counts.lost, hole + 1 < OH_VOIP_JUMP ? hole : 0);
		CHECK_INT(counts.packets, 200 + counts.lost - OH_VOIP_WINDOW);
		CHECK_INT(counts.bursts, counts.lost > 1 ? 1 : 0);
	}
}

static void another_source_begins_without_loss(void)
{
	struct oh_voip        voip = {0};
	struct oh_voip_counts counts;

	for (uint16_t seq = 0; seq < 100; seq++)
		oh_voip_heard(&voip, 7, seq, false);
	for (uint16_t seq = 150; seq < 250; seq++)
		oh_voip_heard(&voip, 8, seq, false);
	oh_voip_whole(&voip, &counts);
	CHECK_INT(counts.packets, 200 - OH_VOIP_WINDOW);
	CHECK_INT(counts.lost, 0);
}

static void each_look_is_at_what_came_since_the_one_before(void)
{
	struct oh_voip        voip = {0};
	struct oh_voip_counts counts, sum = {0};
	uint16_t              seq = 0;

	for (unsigned i = 0; i < 1000; i++, seq++) {
		if (i % 4 != 0)
			oh_voip_heard(&voip, 7, seq, false); /* one burst from end to end */
		if (i % 250 == 249) {
			oh_voip_lately(&voip, &counts);
			CHECK_INT(counts.bursts, 1);
			sum.packets += counts.packets;
			sum.lost += counts.lost;
		}
	}
	oh_voip_whole(&voip, &counts);
	CHECK_INT(counts.bursts, 1);
	CHECK_INT(sum.packets, counts.packets);
	CHECK_INT(sum.lost, counts.lost);
	oh_voip_lately(&voip, &counts);
	CHECK_INT(counts.packets, 0);
}

/* G.107 (7-30): random loss has BurstR 1; a two-state chain with p and q has 1 / (p + q). */
static void burst_ratio_is_that_of_the_chain_that_made_the_losses(void)
{
	static const struct {
		double p, q;
	} chains[] = {{0.05, 0.95}, {0.02, 0.5}, {0.01, 0.2}};
	uint32_t state = 1;

	for (size_t c = 0; c < 3; c++) {
		struct oh_voip         voip = {0};
		struct oh_voip_counts  counts;
		struct oh_voip_figures figures;
		int                    lost = 0;

		for (uint32_t i = 0; i < 200000; i++) {
			double chance = noise(&state) / 4294967296.0;

			lost = lost ? chance >= chains[c].q : chance < chains[c].p;
			if (!lost)
				oh_voip_heard(&voip, 7, (uint16_t)i, false);
		}
		oh_voip_whole(&voip, &counts);
		oh_voip_figures(&counts, &figures);
		CHECK_BELOW(figures.burst_ratio, 1.05 / (chains[c].p + chains[c].q));
		CHECK_BELOW(0.95 / (chains[c].p + chains[c].q), figures.burst_ratio);
		CHECK_BELOW(figures.lost, 1.05 * chains[c].p / (chains[c].p + chains[c].q));
	}
}

int main(void)
{
	RUN(nothing_lost_is_one_gap);
	RUN(nothing_heard_is_no_figure);
	RUN(a_lone_packet_belongs_to_the_gap_around_it);
	RUN(sixteen_received_part_two_bursts_and_fifteen_do_not);
	RUN(lost_and_discarded_packets_make_a_burst_together);
	RUN(what_comes_out_of_order_is_not_lost_and_what_comes_twice_is_one);
	RUN(a_packet_is_late_as_long_as_the_window_and_lost_beyond);
	RUN(a_hole_of_any_length_is_counted_whole_and_a_jump_is_none);
	RUN(another_source_begins_without_loss);
	RUN(each_look_is_at_what_came_since_the_one_before);
	RUN(burst_ratio_is_that_of_the_chain_that_made_the_losses);
	return 0;
}
