/* xr.c - RTCP extended reports (RFC 3611). */
#include "oh_xr.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire.h"

enum {
	TYPE_XR = 207,
	BLOCK_REFERENCE = 4,
	BLOCK_DLRR = 5,
	BLOCK_VOIP = 7,
	HEAD_BYTES = 4, /* of a packet and of a block */
	REFERENCE_BYTES = 8,
	DLRR_BYTES = 12,
	VOIP_BYTES = 32,
};

/* ---- reading ---- */

static void read_voip(struct oh_xr_voip *voip, const uint8_t *p)
{
	*voip = (struct oh_xr_voip){
		.ssrc = get32(p),
		.lost = p[4],
		.discarded = p[5],
		.burst_density = p[6],
		.gap_density = p[7],
		.burst_ms = get16(p + 8),
		.gap_ms = get16(p + 10),
		.round_trip_ms = get16(p + 12),
		.end_system_ms = get16(p + 14),
		.signal_dbm = (int8_t)p[16],
		.noise_dbm = (int8_t)p[17],
		.rerl_db = p[18],
		.gmin = p[19],
		.r = p[20],
		.external_r = p[21],
		.mos_lq = p[22],
		.mos_cq = p[23],
		.config = p[24],
		.jb_nominal_ms = get16(p + 26),
		.jb_maximum_ms = get16(p + 28),
		.jb_most_ms = get16(p + 30),
	};
}

static int read_block(struct oh_xr *out, uint8_t type, const uint8_t *body, size_t len)
{
	switch (type) {
	case BLOCK_REFERENCE:
		if (len != REFERENCE_BYTES)
			return -EBADMSG;
		out->reference = true;
		out->ntp = (uint64_t)get32(body) << 32 | get32(body + 4);
		return 0;
	case BLOCK_DLRR:
		if (len % DLRR_BYTES != 0)
			return -EBADMSG;
		for (size_t at = 0; at < len && out->dlrr_count < OH_XR_BLOCKS; at += DLRR_BYTES)
			out->dlrrs[out->dlrr_count++] = (struct oh_xr_dlrr){
				.ssrc = get32(body + at), .lrr = get32(body + at + 4), .dlrr = get32(body + at + 8)};
		return 0;
	case BLOCK_VOIP:
		if (len != VOIP_BYTES)
			return -EBADMSG;
		if (out->voip_count < OH_XR_BLOCKS)
			read_voip(&out->voips[out->voip_count++], body);
		return 0;
	default:
		return 0;
	}
}

int oh_xr_read(struct oh_xr *out, const uint8_t *blocks, size_t len)
{
	for (size_t at = 0; at < len;) {
		if (len - at < HEAD_BYTES)
			return -EBADMSG;
		size_t body = 4u * get16(blocks + at + 2);

		if (body > len - at - HEAD_BYTES)
			return -EBADMSG;
		int error = read_block(out, blocks[at], blocks + at + HEAD_BYTES, body);

		if (error)
			return error;
		at += HEAD_BYTES + body;
	}
	return 0;
}

/* ---- writing ---- */

size_t oh_xr_bytes(const struct oh_xr *xr)
{
	size_t blocks = (xr->reference ? HEAD_BYTES + REFERENCE_BYTES : 0u) +
	                (xr->dlrr_count ? HEAD_BYTES + xr->dlrr_count * DLRR_BYTES : 0u) +
	                xr->voip_count * (HEAD_BYTES + VOIP_BYTES);

	return blocks ? HEAD_BYTES + 4u + blocks : 0;
}

static uint8_t *write_head(uint8_t *p, uint8_t type, size_t body)
{
	p[0] = type;
	put16(p + 2, (uint16_t)(body / 4u));
	return p + HEAD_BYTES;
}

static void write_voip(uint8_t *p, const struct oh_xr_voip *voip)
{
	put32(p, voip->ssrc);
	p[4] = voip->lost;
	p[5] = voip->discarded;
	p[6] = voip->burst_density;
	p[7] = voip->gap_density;
	put16(p + 8, voip->burst_ms);
	put16(p + 10, voip->gap_ms);
	put16(p + 12, voip->round_trip_ms);
	put16(p + 14, voip->end_system_ms);
	p[16] = (uint8_t)voip->signal_dbm;
	p[17] = (uint8_t)voip->noise_dbm;
	p[18] = voip->rerl_db;
	p[19] = voip->gmin;
	p[20] = voip->r;
	p[21] = voip->external_r;
	p[22] = voip->mos_lq;
	p[23] = voip->mos_cq;
	p[24] = voip->config;
	put16(p + 26, voip->jb_nominal_ms);
	put16(p + 28, voip->jb_maximum_ms);
	put16(p + 30, voip->jb_most_ms);
}

void oh_xr_write(uint8_t *data, uint32_t ssrc, const struct oh_xr *xr)
{
	size_t   bytes = oh_xr_bytes(xr);
	uint8_t *p = data;

	assert(xr->dlrr_count <= OH_XR_BLOCKS && xr->voip_count <= OH_XR_BLOCKS);
	if (bytes == 0)
		return;
	memset(data, 0, bytes);
	p[0] = 0x80;
	p[1] = TYPE_XR;
	put16(p + 2, (uint16_t)(bytes / 4u - 1u));
	put32(p + 4, ssrc);
	p += 8;
	if (xr->reference) {
		p = write_head(p, BLOCK_REFERENCE, REFERENCE_BYTES);
		put32(p, (uint32_t)(xr->ntp >> 32));
		put32(p + 4, (uint32_t)xr->ntp);
		p += REFERENCE_BYTES;
	}
	if (xr->dlrr_count)
		p = write_head(p, BLOCK_DLRR, xr->dlrr_count * DLRR_BYTES);
	for (size_t i = 0; i < xr->dlrr_count; i++, p += DLRR_BYTES) {
		put32(p, xr->dlrrs[i].ssrc);
		put32(p + 4, xr->dlrrs[i].lrr);
		put32(p + 8, xr->dlrrs[i].dlrr);
	}
	for (size_t i = 0; i < xr->voip_count; i++, p += VOIP_BYTES) {
		p = write_head(p, BLOCK_VOIP, VOIP_BYTES);
		write_voip(p, &xr->voips[i]);
	}
	assert((size_t)(p - data) == bytes);
}
