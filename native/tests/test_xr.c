/* test_xr.c - RTCP extended reports: blocks written and read, alone and in compounds, and whatever is no such thing. */
#include <errno.h>

#include "check.h"
#include "oh_rtcp.h"

static const struct oh_xr all = {
	.reference = true,
	.ntp = 0x123456789abcdef0u,
	.dlrr_count = 2,
	.dlrrs = {{.ssrc = 1, .lrr = 0x11112222, .dlrr = 65536}, {.ssrc = 2}},
	.voip_count = 1,
	.voips = {{.ssrc = 9, .burst_ms = 340, .gap_ms = 12000, .round_trip_ms = 80, .end_system_ms = 60, .jb_nominal_ms = 20,
	           .jb_maximum_ms = 40, .jb_most_ms = 65535, .lost = 20, .discarded = 3, .burst_density = 128, .gap_density = 2,
	           .signal_dbm = -20, .noise_dbm = -70, .rerl_db = 55, .gmin = 16, .r = 88, .external_r = OH_XR_NONE,
	           .mos_lq = 42, .mos_cq = 41, .config = OH_XR_CONCEALS}},
};

/* A compound with everything; answers its length. */
static size_t build(uint8_t *data, size_t cap, const struct oh_xr *xr)
{
	struct oh_rtcp_report report = {.ssrc = 5, .cname = "quiet-otter", .xr = xr, .bye = true};
	size_t                len = 0;

	CHECK_INT(oh_rtcp_build(data, cap, &len, &report), 0);
	return len;
}

static int parse(struct oh_rtcp *out, const uint8_t *data, size_t len)
{
	uint8_t *kept = malloc(len ? len : 1); /* of exactly its size, so that a read past it shows */
	int      error;

	CHECK(kept != NULL);
	memcpy(kept, data, len);
	error = oh_rtcp_parse(out, kept, len);
	free(kept);
	return error;
}

static void what_was_written_is_read(void)
{
	uint8_t        data[OH_RTCP_BUILT];
	struct oh_rtcp out;

	CHECK_INT(parse(&out, data, build(data, sizeof(data), &all)), 0);
	CHECK_INT(out.ssrc, 5);
	CHECK(out.xr.reference && out.xr.ntp == all.ntp);
	CHECK_INT(out.xr.dlrr_count, 2);
	CHECK(memcmp(out.xr.dlrrs, all.dlrrs, 2 * sizeof(all.dlrrs[0])) == 0);
	CHECK_INT(out.xr.voip_count, 1);
	CHECK_INT(out.xr.voips[0].ssrc, 9);
	CHECK_INT(out.xr.voips[0].burst_ms, 340);
	CHECK_INT(out.xr.voips[0].gap_ms, 12000);
	CHECK_INT(out.xr.voips[0].round_trip_ms, 80);
	CHECK_INT(out.xr.voips[0].end_system_ms, 60);
	CHECK_INT(out.xr.voips[0].jb_nominal_ms, 20);
	CHECK_INT(out.xr.voips[0].jb_maximum_ms, 40);
	CHECK_INT(out.xr.voips[0].jb_most_ms, 65535);
	CHECK_INT(out.xr.voips[0].lost, 20);
	CHECK_INT(out.xr.voips[0].discarded, 3);
	CHECK_INT(out.xr.voips[0].burst_density, 128);
	CHECK_INT(out.xr.voips[0].gap_density, 2);
	CHECK_INT(out.xr.voips[0].signal_dbm, -20);
	CHECK_INT(out.xr.voips[0].noise_dbm, -70);
	CHECK_INT(out.xr.voips[0].rerl_db, 55);
	CHECK_INT(out.xr.voips[0].gmin, 16);
	CHECK_INT(out.xr.voips[0].r, 88);
	CHECK_INT(out.xr.voips[0].external_r, OH_XR_NONE);
	CHECK_INT(out.xr.voips[0].mos_lq, 42);
	CHECK_INT(out.xr.voips[0].mos_cq, 41);
	CHECK_INT(out.xr.voips[0].config, OH_XR_CONCEALS);
	CHECK_INT(out.bye_count, 1);
}

/* The VoIP metrics block byte by byte as RFC 3611 4.7 draws it. */
static void a_block_lies_as_the_rfc_draws_it(void)
{
	static const uint8_t drawn[] = {
		0x80, 207, 0, 10, 0, 0, 0, 5, 7, 0, 0, 8, 0, 0, 0, 9, 20, 3, 128, 2, 340 >> 8, 340 & 255, 12000 >> 8, 12000 & 255,
		0, 80, 0, 60, 256 - 20, 256 - 70, 55, 16, 88, 127, 42, 41, 0x80, 0, 0, 20, 0, 40, 0xff, 0xff,
	};
	struct oh_xr voip = {.voip_count = 1, .voips = {all.voips[0]}};
	uint8_t      data[sizeof(drawn)];

	CHECK_INT(oh_xr_bytes(&voip), sizeof(drawn));
	oh_xr_write(data, 5, &voip);
	CHECK(memcmp(data, drawn, sizeof(drawn)) == 0);
}

static void no_blocks_are_no_packet(void)
{
	struct oh_xr   none = {0};
	uint8_t        data[OH_RTCP_BUILT];
	struct oh_rtcp out;

	CHECK_INT(oh_xr_bytes(&none), 0);
	CHECK_INT(parse(&out, data, build(data, sizeof(data), &none)), 0);
	CHECK_INT(out.bye_count, 1);
}

static void the_longest_compound_fits_what_is_promised(void)
{
	char                  name[256] = {0};
	struct oh_xr          xr = {.reference = true, .dlrr_count = OH_XR_BLOCKS, .voip_count = OH_XR_BLOCKS};
	struct oh_rtcp_block  block = {.ssrc = 1};
	struct oh_rtcp_report report = {
		.ssrc = 5, .sender = true, .block = &block, .xr = &xr, .cname = name, .bye = true, .reason = name};
	uint8_t data[OH_RTCP_BUILT];
	size_t  len;

	memset(name, 'n', 255);
	CHECK_INT(oh_rtcp_build(data, sizeof(data), &len, &report), 0);
	for (size_t cap = 0; cap < len; cap++)
		CHECK_INT(oh_rtcp_build(data, cap, &len, &report), -ENOBUFS);
}

static void blocks_of_unknown_types_are_skipped_and_lengths_that_lie_refused(void)
{
	uint8_t        unknown[] = {0x80, 207, 0, 6, 0, 0, 0, 5, 99, 0, 0, 1, 1, 2, 3, 4, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
	struct oh_rtcp out;

	CHECK_INT(parse(&out, unknown, sizeof(unknown)), 0);
	CHECK(out.xr.reference && out.xr.ntp == 0x0102030405060708u);
	for (int words = 0; words < 256; words++) {
		unknown[11] = (uint8_t)words; /* of the unknown block: the next begins elsewhere, or beyond the end */
		int error = parse(&out, unknown, sizeof(unknown));

		CHECK(error == 0 || error == -EBADMSG);
		CHECK(words <= 4 || error == -EBADMSG);
	}
	unknown[11] = 1;
	unknown[19] = 1; /* half a reference time */
	CHECK_INT(parse(&out, unknown, sizeof(unknown)), -EBADMSG);
}

static void more_blocks_than_are_kept_are_still_checked(void)
{
	uint8_t        data[8 + 4 + 12 * 40 + 10 * 36] = {0x80, 207, 0, 0, 0, 0, 0, 5, 5, 0, 0, 3 * 40};
	struct oh_rtcp out;

	data[2] = (uint8_t)((sizeof(data) / 4 - 1) >> 8);
	data[3] = (uint8_t)(sizeof(data) / 4 - 1);
	for (size_t at = 8 + 4 + 12 * 40; at < sizeof(data); at += 36) {
		data[at] = 7;
		data[at + 3] = 8;
	}
	CHECK_INT(parse(&out, data, sizeof(data)), 0);
	CHECK_INT(out.xr.dlrr_count, OH_XR_BLOCKS);
	CHECK_INT(out.xr.voip_count, OH_XR_BLOCKS);
	data[sizeof(data) - 33] = 9;
	CHECK_INT(parse(&out, data, sizeof(data)), -EBADMSG);
}

static void what_another_reports_in_the_same_packet_is_not_taken_for_the_senders(void)
{
	static const uint8_t data[] = {0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 207, 0, 4, 0, 0, 0, 2, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
	struct oh_rtcp       out;

	CHECK_INT(parse(&out, data, sizeof(data)), 0);
	CHECK(!out.xr.reference);
}

static void every_changed_byte_and_every_length_is_survived(void)
{
	uint8_t data[OH_RTCP_BUILT];
	size_t  len = build(data, sizeof(data), &all);

	for (size_t at = 0; at < len; at++) {
		uint8_t        was = data[at];
		struct oh_rtcp out;

		(void)parse(&out, data, at);
		for (int value = 0; value < 256; value++) {
			data[at] = (uint8_t)value;
			if (parse(&out, data, len) == 0)
				CHECK(out.xr.dlrr_count <= OH_XR_BLOCKS && out.xr.voip_count <= OH_XR_BLOCKS);
		}
		data[at] = was;
	}
}

int main(void)
{
	RUN(what_was_written_is_read);
	RUN(a_block_lies_as_the_rfc_draws_it);
	RUN(no_blocks_are_no_packet);
	RUN(the_longest_compound_fits_what_is_promised);
	RUN(blocks_of_unknown_types_are_skipped_and_lengths_that_lie_refused);
	RUN(more_blocks_than_are_kept_are_still_checked);
	RUN(what_another_reports_in_the_same_packet_is_not_taken_for_the_senders);
	RUN(every_changed_byte_and_every_length_is_survived);
	return 0;
}
