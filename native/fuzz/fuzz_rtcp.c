/* fuzz_rtcp.c - any bytes through the RTCP parser, and what it read through the round-trip arithmetic and the statistics. */
#include <stdlib.h>
#include <string.h>

#include "oh_rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same bytes as arrivals of RTP packets, six each: what a hostile sender can do to the statistics. */
static void receive(const uint8_t *data, size_t size)
{
	struct oh_rtcp_source source;
	struct oh_rtcp_block  block;
	int64_t               now_ns = 0;

	oh_rtcp_source_init(&source, 1, 0);
	for (; size >= 6; data += 6, size -= 6) {
		uint16_t seq = (uint16_t)(data[0] << 8 | data[1]);

		now_ns += (int64_t)data[5] * 10000000;
		oh_rtcp_received(&source, seq, (uint32_t)data[2] << 24 | (uint32_t)data[3] << 8 | data[4], 8000, now_ns);
		if (data[5] == 0 && oh_rtcp_report(&source, now_ns, &block) == 0 &&
		    (block.lost > 0x7fffff || block.lost < -0x800000))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oh_rtcp rtcp;
	uint8_t        built[1024];
	size_t         len;
	int64_t        rtt_ns;

	receive(data, size);
	if (oh_rtcp_parse(&rtcp, data, size) != 0)
		return 0;
	if (rtcp.block_count > OH_RTCP_BLOCKS || rtcp.bye_count > OH_RTCP_BLOCKS || rtcp.xr.dlrr_count > OH_XR_BLOCKS ||
	    rtcp.xr.voip_count > OH_XR_BLOCKS ||
	    memchr(rtcp.cname, 0, sizeof(rtcp.cname)) == NULL || memchr(rtcp.reason, 0, sizeof(rtcp.reason)) == NULL)
		abort();
	for (size_t i = 0; i < rtcp.block_count; i++)
		if (oh_rtcp_round_trip(&rtcp.blocks[i], rtcp.rtp_timestamp, &rtt_ns) == 0 && rtt_ns < 0)
			abort();

	struct oh_rtcp        again;
	struct oh_rtcp_report report = {
		.ssrc = rtcp.ssrc, .sender = rtcp.sender, .ntp = rtcp.ntp, .rtp_timestamp = rtcp.rtp_timestamp,
		.packets = rtcp.packets, .octets = rtcp.octets, .block = rtcp.block_count ? rtcp.blocks : NULL,
		.xr = &rtcp.xr, .cname = rtcp.cname[0] ? rtcp.cname : "x", .bye = rtcp.bye_count > 0, .reason = rtcp.reason,
	};

	if (oh_rtcp_build(built, sizeof(built), &len, &report) != 0 || oh_rtcp_parse(&again, built, len) != 0)
		abort();
	if (again.ssrc != rtcp.ssrc || again.ntp != rtcp.ntp || strcmp(again.reason, rtcp.bye_count ? rtcp.reason : "") != 0)
		abort();
	if (rtcp.block_count && (again.blocks[0].lost != rtcp.blocks[0].lost || again.blocks[0].lsr != rtcp.blocks[0].lsr))
		abort();

	uint8_t xr[2][OH_RTCP_BUILT];

	if (oh_xr_bytes(&again.xr) != oh_xr_bytes(&rtcp.xr))
		abort();
	oh_xr_write(xr[0], 1, &rtcp.xr);
	oh_xr_write(xr[1], 1, &again.xr);
	if (memcmp(xr[0], xr[1], oh_xr_bytes(&rtcp.xr)) != 0)
		abort();
	return 0;
}
