/* test_rtcp.c - RTCP: compound packets read and written, and the statistics of one source. */
#include <errno.h>

#include "check.h"
#include "oh_rtcp.h"

#define MS 1000000ll

static int parse(struct oh_rtcp *out, const uint8_t *data, size_t len)
{
	static uint8_t *kept;

	free(kept);
	kept = malloc(len ? len : 1);
	CHECK(kept != NULL);
	memcpy(kept, data, len);
	return oh_rtcp_parse(out, kept, len);
}

static const struct oh_rtcp_block block = {
	.ssrc = 9, .lost = -2, .highest_seq = 0x10005, .jitter = 12, .lsr = 0x11112222, .dlsr = 65536, .fraction_lost = 64,
};

static size_t build_all(uint8_t *data, size_t cap)
{
	struct oh_rtcp_report report = {
		.ssrc = 5, .sender = true, .ntp = 0x123456789abcdef0u, .rtp_timestamp = 160, .packets = 3, .octets = 480,
		.block = &block, .cname = "quiet-otter", .bye = true, .reason = "call over",
	};
	size_t len = 0;

	CHECK_INT(oh_rtcp_build(data, cap, &len, &report), 0);
	return len;
}

static void a_built_compound_packet_parses_to_what_was_built(void)
{
	uint8_t        data[600];
	struct oh_rtcp out;

	CHECK_INT(parse(&out, data, build_all(data, sizeof(data))), 0);
	CHECK_INT(out.ssrc, 5);
	CHECK(out.sender);
	CHECK(out.ntp == 0x123456789abcdef0u);
	CHECK_INT(out.rtp_timestamp, 160);
	CHECK_INT(out.packets, 3);
	CHECK_INT(out.octets, 480);
	CHECK_INT(out.block_count, 1);
	CHECK_INT(out.blocks[0].ssrc, 9);
	CHECK_INT(out.blocks[0].lost, -2);
	CHECK_INT(out.blocks[0].highest_seq, 0x10005);
	CHECK_INT(out.blocks[0].jitter, 12);
	CHECK_INT(out.blocks[0].lsr, 0x11112222);
	CHECK_INT(out.blocks[0].dlsr, 65536);
	CHECK_INT(out.blocks[0].fraction_lost, 64);
	CHECK(strcmp(out.cname, "quiet-otter") == 0);
	CHECK_INT(out.bye_count, 1);
	CHECK_INT(out.byes[0], 5);
	CHECK(strcmp(out.reason, "call over") == 0);
}

static void every_length_of_name_and_reason_survives(void)
{
	for (size_t n = 1; n <= 255; n++) {
		char                  name[256] = { 0 };
		uint8_t               data[600];
		size_t                len;
		struct oh_rtcp        out;
		struct oh_rtcp_report report = { .ssrc = 1, .cname = name, .bye = true, .reason = name };

		memset(name, 'n', n);
		CHECK_INT(oh_rtcp_build(data, sizeof(data), &len, &report), 0);
		CHECK_INT(len % 4, 0);
		CHECK_INT(parse(&out, data, len), 0);
		CHECK(!out.sender);
		CHECK_INT(strlen(out.cname), n);
		CHECK_INT(strlen(out.reason), n);
		for (size_t cap = 0; cap < len; cap++)
			CHECK_INT(oh_rtcp_build(data, cap, &len, &report), -ENOBUFS);
	}
}

static void names_that_cannot_be_said_are_refused(void)
{
	char                  name[257] = { 0 };
	uint8_t               data[600];
	size_t                len;
	struct oh_rtcp_report report = { .ssrc = 1 };

	CHECK_INT(oh_rtcp_build(data, sizeof(data), &len, &report), -EINVAL);
	report.cname = "";
	CHECK_INT(oh_rtcp_build(data, sizeof(data), &len, &report), -EINVAL);
	memset(name, 'n', 256);
	report.cname = name;
	CHECK_INT(oh_rtcp_build(data, sizeof(data), &len, &report), -EINVAL);
}

static void every_truncation_is_refused_or_ends_between_packets(void)
{
	uint8_t data[600];
	size_t  len = build_all(data, sizeof(data));

	for (size_t cut = 0; cut < len; cut++) {
		struct oh_rtcp out;
		int            error = parse(&out, data, cut);

		if (cut == 52 || cut == 76) /* after the SR, after the SDES */
			CHECK_INT(error, 0);
		else
			CHECK_INT(error, -EBADMSG);
	}
}

static void every_changed_byte_is_survived(void)
{
	uint8_t data[600];
	size_t  len = build_all(data, sizeof(data));

	for (size_t at = 0; at < len; at++) {
		uint8_t was = data[at];

		for (int value = 0; value < 256; value++) {
			struct oh_rtcp out;

			data[at] = (uint8_t)value;
			int error = parse(&out, data, len);

			CHECK(error == 0 || error == -EBADMSG);
			if (error == 0)
				CHECK(out.block_count <= OH_RTCP_BLOCKS && out.bye_count <= OH_RTCP_BLOCKS);
		}
		data[at] = was;
	}
}

static void more_blocks_and_byes_than_are_kept_are_still_checked(void)
{
	uint8_t        data[8 + 31 * 24 + 4 + 31 * 4] = { 0x80 | 31, 201, 0, 1 + 31 * 6 };
	uint8_t       *bye = data + 8 + 31 * 24;
	struct oh_rtcp out;

	bye[0] = 0x80 | 31;
	bye[1] = 203;
	bye[3] = 31;
	CHECK_INT(parse(&out, data, sizeof(data)), 0);
	CHECK_INT(out.block_count, OH_RTCP_BLOCKS);
	CHECK_INT(out.bye_count, OH_RTCP_BLOCKS);
	data[3] = 31 * 6; /* one word too few for 31 blocks */
	CHECK_INT(parse(&out, data, sizeof(data)), -EBADMSG);
}

/* RFC 5506: who agreed to it may leave the report away. What the feedback (RFC 4585) says is nothing to telephony. */
static void packets_of_reduced_size_are_taken_and_feedback_is_skipped(void)
{
	static const uint8_t nack[] = { 0x81, 205, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0, 5 };
	static const uint8_t pli[] = { 0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9 };
	static const uint8_t remb[] = { 0x8f, 206, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 0, 200, 0, 0, 0, 0, 9 };
	static const uint8_t transport_cc[] = { 0xaf, 205, 0, 5, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0, 3, 1, 2, 3, 4, 32, 3, 0, 1 };
	static const uint8_t then_bye[] = { 0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9, 0x81, 203, 0, 1, 0, 0, 0, 7 };
	static const uint8_t xr[] = { 0x80, 207, 0, 4, 0, 0, 0, 7, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct oh_rtcp       out;

	CHECK_INT(parse(&out, nack, sizeof(nack)), 0);
	CHECK_INT(out.ssrc, 7);
	CHECK_INT(parse(&out, pli, sizeof(pli)), 0);
	CHECK_INT(parse(&out, remb, sizeof(remb)), 0);
	CHECK_INT(parse(&out, transport_cc, sizeof(transport_cc)), 0);
	CHECK_INT(parse(&out, then_bye, sizeof(then_bye)), 0);
	CHECK_INT(out.bye_count, 1);
	CHECK_INT(parse(&out, xr, sizeof(xr)), 0);
	CHECK(out.xr.reference && !out.sender && out.block_count == 0);
}

static void what_begins_with_no_rtcp_type_is_refused(void)
{
	static const uint8_t none[] = { 0x80, 208, 0, 1, 0, 0, 0, 1 };
	static const uint8_t rtp[] = { 0x80, 0x80, 0, 1, 0, 0, 0, 1 };
	static const uint8_t nobody[] = { 0x80, 203, 0, 0, 0x80, 203, 0, 0 }; /* a BYE of nobody */
	static const uint8_t unknown_after[] = { 0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 207, 0, 1, 1, 2, 3, 4 };
	static const uint8_t padding_amid[] = { 0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0x80, 207, 0, 0 };
	struct oh_rtcp       out;

	CHECK_INT(parse(&out, none, sizeof(none)), -EBADMSG);
	CHECK_INT(parse(&out, rtp, sizeof(rtp)), -EBADMSG);
	CHECK_INT(parse(&out, nobody, sizeof(nobody)), -EBADMSG);
	CHECK_INT(parse(&out, unknown_after, sizeof(unknown_after)), 0);
	CHECK_INT(parse(&out, padding_amid, sizeof(padding_amid)), -EBADMSG);
	CHECK_INT(parse(&out, padding_amid, 12), 0);
}

static void a_source_is_valid_after_two_packets_in_sequence(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;

	oh_rtcp_source_init(&source, 1, 100);
	CHECK_INT(oh_rtcp_received(&source, 100, 0, 8000, 0), 0);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), -EAGAIN);
	CHECK_INT(oh_rtcp_received(&source, 500, 160, 8000, 20 * MS), 0);
	CHECK_INT(oh_rtcp_received(&source, 501, 320, 8000, 40 * MS), 1);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.highest_seq, 501);
	CHECK_INT(report.lost, 0);
}

static void begin(struct oh_rtcp_source *source, uint16_t seq)
{
	oh_rtcp_source_init(source, 1, seq);
	CHECK_INT(oh_rtcp_received(source, seq, 0, 8000, 0), 0);
	CHECK_INT(oh_rtcp_received(source, (uint16_t)(seq + 1), 160, 8000, 20 * MS), 1);
}

static void loss_is_counted_over_the_wrap_of_sequence_numbers(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;

	begin(&source, 65500); /* counted from 65501 on */
	for (unsigned i = 2; i < 100; i++)
		if (i % 4 != 0)
			CHECK_INT(oh_rtcp_received(&source, (uint16_t)(65500 + i), 160 * i, 8000, 20 * MS * i), 1);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.highest_seq, 0x10000 + ((65500 + 99) & 0xffff));
	CHECK_INT(report.lost, 24);
	CHECK_INT(report.fraction_lost, 24 * 256 / 99);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.fraction_lost, 0); /* nothing since */
	CHECK_INT(report.lost, 24);
}

static void packets_that_come_twice_make_the_loss_negative_and_no_fraction(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;

	begin(&source, 1);
	for (int i = 0; i < 3; i++)
		CHECK_INT(oh_rtcp_received(&source, 2, 160, 8000, 20 * MS), 1);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.lost, -3);
	CHECK_INT(report.fraction_lost, 0);
}

static void a_lone_jump_is_ignored_and_two_in_sequence_are_believed(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;

	begin(&source, 10);
	CHECK_INT(oh_rtcp_received(&source, 40000, 320, 8000, 40 * MS), 0);
	CHECK_INT(oh_rtcp_received(&source, 12, 480, 8000, 60 * MS), 1);
	CHECK_INT(oh_rtcp_received(&source, 50000, 640, 8000, 80 * MS), 0);
	CHECK_INT(oh_rtcp_received(&source, 50001, 800, 8000, 100 * MS), 1);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.highest_seq, 50001);
	CHECK_INT(report.lost, 0);
}

static void a_replay_of_old_packets_does_not_move_the_highest_number(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;

	begin(&source, 1000);
	for (uint16_t i = 0; i < 50; i++)
		CHECK_INT(oh_rtcp_received(&source, (uint16_t)(950 + i), 0, 8000, 40 * MS), 1);
	CHECK_INT(oh_rtcp_report(&source, 0, &report), 0);
	CHECK_INT(report.highest_seq, 1001);
}

static void jitter_follows_the_formula(void)
{
	struct oh_rtcp_source source;
	double                jitter = 0, before = 0;
	uint32_t              state = 3;

	begin(&source, 0);
	for (unsigned i = 2; i < 500; i++) {
		int64_t late = (int64_t)(noise(&state) % 20) * MS;

		CHECK_INT(oh_rtcp_received(&source, (uint16_t)i, 160 * i, 8000, 20 * MS * i + late), 1);
		double d = (double)late / 125000 - before;

		before = (double)late / 125000;
		jitter += ((d < 0 ? -d : d) - jitter) / 16;
	}
	CHECK_BELOW(oh_rtcp_jitter(&source), jitter + 2);
	CHECK_BELOW(jitter, oh_rtcp_jitter(&source) + 2);
}

static void jitter_is_right_after_years_of_uptime_and_over_a_jump_of_timestamps(void)
{
	struct oh_rtcp_source source;
	int64_t               boot = 10ll * 365 * 86400 * 1000 * MS;

	oh_rtcp_source_init(&source, 1, 0);
	for (unsigned i = 0; i < 100; i++)
		oh_rtcp_received(&source, (uint16_t)i, 0xfffffff0u + 160 * i, 8000, boot + 20 * MS * i);
	CHECK_INT(oh_rtcp_jitter(&source), 0);
	oh_rtcp_received(&source, 100, 0x40000000u, 8000, boot + 2000 * MS);
	CHECK_INT(oh_rtcp_jitter(&source), 0);
}

static void the_round_trip_is_what_lies_between_the_reports(void)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  report;
	int64_t               rtt, sent = 1700000000123ll * MS;

	/* we send an SR; it takes 30 ms; the other side answers 2 s later; that takes 50 ms */
	begin(&source, 0);
	oh_rtcp_heard_sr(&source, oh_rtcp_ntp(sent), 5000 * MS);
	CHECK_INT(oh_rtcp_report(&source, 7000 * MS, &report), 0);
	CHECK_INT(report.dlsr, 2 * 65536);
	CHECK_INT(oh_rtcp_round_trip(&report, oh_rtcp_ntp_mid(oh_rtcp_ntp(sent + 2080 * MS)), &rtt), 0);
	CHECK_BELOW(rtt, 80.1 * MS);
	CHECK_BELOW(79.9 * MS, rtt);

	CHECK_INT(oh_rtcp_round_trip(&report, report.lsr, &rtt), -ERANGE); /* answered before it was sent */
	report.lsr = 0;
	CHECK_INT(oh_rtcp_round_trip(&report, 1, &rtt), -EAGAIN);
}

static void ntp_time_begins_in_1900(void)
{
	CHECK(oh_rtcp_ntp(0) == 2208988800ull << 32);
	CHECK(oh_rtcp_ntp(500 * MS) == (2208988800ull << 32 | 0x80000000u));
}

int main(void)
{
	RUN(a_built_compound_packet_parses_to_what_was_built);
	RUN(every_length_of_name_and_reason_survives);
	RUN(names_that_cannot_be_said_are_refused);
	RUN(every_truncation_is_refused_or_ends_between_packets);
	RUN(every_changed_byte_is_survived);
	RUN(more_blocks_and_byes_than_are_kept_are_still_checked);
	RUN(packets_of_reduced_size_are_taken_and_feedback_is_skipped);
	RUN(what_begins_with_no_rtcp_type_is_refused);
	RUN(a_source_is_valid_after_two_packets_in_sequence);
	RUN(loss_is_counted_over_the_wrap_of_sequence_numbers);
	RUN(packets_that_come_twice_make_the_loss_negative_and_no_fraction);
	RUN(a_lone_jump_is_ignored_and_two_in_sequence_are_believed);
	RUN(a_replay_of_old_packets_does_not_move_the_highest_number);
	RUN(jitter_follows_the_formula);
	RUN(jitter_is_right_after_years_of_uptime_and_over_a_jump_of_timestamps);
	RUN(the_round_trip_is_what_lies_between_the_reports);
	RUN(ntp_time_begins_in_1900);
	return 0;
}
