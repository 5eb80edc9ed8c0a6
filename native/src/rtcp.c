/* rtcp.c - RTCP compound packets and the reception statistics in them (RFC 3550 section 6, appendix A). */
#include "oh_rtcp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire.h"

enum {
	TYPE_SR = 200,
	TYPE_RR = 201,
	TYPE_SDES = 202,
	TYPE_BYE = 203,
	TYPE_FEEDBACK = 205,         /* RFC 4585: NACK, transport-wide feedback */
	TYPE_PAYLOAD_FEEDBACK = 206, /* PLI, REMB */
	TYPE_XR = 207,
	TYPE_FIRST = TYPE_SR, /* what a packet may begin with ... */
	TYPE_LAST = TYPE_XR,  /* ... and all between */
	SDES_CNAME = 1,
	BLOCK_BYTES = 24,
	SENDER_BYTES = 20,
};

/* ---- reading ---- */

static void take_text(char out[OH_RTCP_NAME + 1u], const uint8_t *text, size_t len)
{
	assert(len <= OH_RTCP_NAME);
	memcpy(out, text, len);
	out[len] = 0;
}

static void read_block(struct oh_rtcp_block *block, const uint8_t *p)
{
	uint32_t lost = get32(p + 4) & 0xffffffu;

	block->ssrc = get32(p);
	block->fraction_lost = p[4];
	block->lost = lost & 0x800000u ? (int32_t)lost - 0x1000000 : (int32_t)lost;
	block->highest_seq = get32(p + 8);
	block->jitter = get32(p + 12);
	block->lsr = get32(p + 16);
	block->dlsr = get32(p + 20);
}

/* SR (6.4.1) or RR (6.4.2): body is what follows the 4-byte header. */
static int read_report(struct oh_rtcp *out, bool sender, unsigned count, const uint8_t *body, size_t len)
{
	size_t at = sender ? 4u + SENDER_BYTES : 4u;

	if (len < at + (size_t)count * BLOCK_BYTES)
		return -EBADMSG;
	out->ssrc = get32(body);
	if (sender) {
		out->sender = true;
		out->ntp = (uint64_t)get32(body + 4) << 32 | get32(body + 8);
		out->rtp_timestamp = get32(body + 12);
		out->packets = get32(body + 16);
		out->octets = get32(body + 20);
	}
	for (unsigned i = 0; i < count && out->block_count < OH_RTCP_BLOCKS; i++, at += BLOCK_BYTES)
		read_block(&out->blocks[out->block_count++], body + at);
	return 0;
}

/* SDES (6.5): chunks of an SSRC and items that end with a 0 and are padded to 32 bits. */
static int read_sdes(struct oh_rtcp *out, unsigned chunks, const uint8_t *body, size_t len)
{
	size_t at = 0;

	while (chunks-- > 0) {
		if (len - at < 4)
			return -EBADMSG;
		uint32_t ssrc = get32(body + at);

		at += 4;
		for (;;) {
			if (at >= len)
				return -EBADMSG;
			uint8_t kind = body[at++];

			if (kind == 0)
				break;
			if (at >= len || len - at - 1 < body[at])
				return -EBADMSG;
			if (kind == SDES_CNAME && ssrc == out->ssrc)
				take_text(out->cname, body + at + 1, body[at]);
			at += 1u + body[at];
		}
		at = (at + 3u) & ~(size_t)3;
		if (at > len)
			return -EBADMSG;
	}
	return 0;
}

/* BYE (6.6). */
static int read_bye(struct oh_rtcp *out, unsigned count, const uint8_t *body, size_t len)
{
	size_t at = 4u * count;

	if (len < at)
		return -EBADMSG;
	for (unsigned i = 0; i < count && out->bye_count < OH_RTCP_BLOCKS; i++)
		out->byes[out->bye_count++] = get32(body + 4u * i);
	if (len > at) {
		if (len - at - 1 < body[at])
			return -EBADMSG;
		take_text(out->reason, body + at + 1, body[at]);
	}
	return 0;
}

/* XR (RFC 3611 section 2). */
static int read_xr(struct oh_rtcp *out, const uint8_t *body, size_t len)
{
	struct oh_xr others = {0};

	if (len < 4)
		return -EBADMSG;
	return oh_xr_read(get32(body) == out->ssrc ? &out->xr : &others, body + 4, len - 4);
}

int oh_rtcp_parse(struct oh_rtcp *out, const uint8_t *data, size_t len)
{
	if (len < 8 || len > OH_RTCP_MAX)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	for (size_t at = 0; at < len;) {
		const uint8_t *p = data + at;

		if (len - at < 4 || p[0] >> 6 != 2)
			return -EBADMSG;
		size_t   whole = 4u * (get16(p + 2) + 1u);
		unsigned count = p[0] & 0x1f;
		uint8_t  type = p[1];

		if (whole > len - at || (at == 0 && (whole < 8 || type < TYPE_FIRST || type > TYPE_LAST)))
			return -EBADMSG;
		size_t body = whole - 4;

		if (at == 0) /* in each of these types the sender's SSRC comes first; a BYE of nobody says nothing */
			out->ssrc = get32(p + 4);

		if (p[0] & 0x20) { /* padding: in the last packet only (A.2); browsers' feedback is padded by single bytes */
			size_t padding = p[whole - 1];
			bool   words = padding % 4 == 0 || type == TYPE_FEEDBACK || type == TYPE_PAYLOAD_FEEDBACK;

			if (at + whole != len || padding == 0 || !words || padding > body)
				return -EBADMSG;
			body -= padding;
		}
		int error = 0;

		switch (type) {
		case TYPE_SR:
		case TYPE_RR:
			error = read_report(out, type == TYPE_SR, count, p + 4, body);
			break;
		case TYPE_SDES:
			error = read_sdes(out, count, p + 4, body);
			break;
		case TYPE_BYE:
			error = read_bye(out, count, p + 4, body);
			break;
		case TYPE_XR:
			error = read_xr(out, p + 4, body);
			break;
		default:
			break;
		}
		if (error)
			return error;
		at += whole;
	}
	return 0;
}

/* ---- statistics (A.1, A.3, A.8) ---- */

enum {
	SEQ_MOD = 1 << 16,
	MAX_DROPOUT = 3000,
	MAX_MISORDER = 100,
	MIN_SEQUENTIAL = 2,
	NO_BAD_SEQ = SEQ_MOD + 1,
};

static void begin_sequence(struct oh_rtcp_source *source, uint16_t seq)
{
	source->base_seq = seq;
	source->max_seq = seq;
	source->bad_seq = NO_BAD_SEQ;
	source->cycles = 0;
	source->received = 0;
	source->received_before = 0;
	source->expected_before = 0;
}

void oh_rtcp_source_init(struct oh_rtcp_source *source, uint32_t ssrc, uint16_t seq)
{
	memset(source, 0, sizeof(*source));
	source->ssrc = ssrc;
	begin_sequence(source, seq);
	source->max_seq = (uint16_t)(seq - 1);
	source->probation = MIN_SEQUENTIAL;
}

/* A.1: 1 where the packet counts. */
static int update_sequence(struct oh_rtcp_source *source, uint16_t seq)
{
	uint16_t ahead = (uint16_t)(seq - source->max_seq);

	if (source->probation > 0) {
		bool next = ahead == 1;

		source->max_seq = seq;
		if (!next) {
			source->probation = MIN_SEQUENTIAL - 1;
			return 0;
		}
		if (--source->probation > 0)
			return 0;
		begin_sequence(source, seq);
	} else if (ahead < MAX_DROPOUT) {
		if (seq < source->max_seq)
			source->cycles += SEQ_MOD;
		source->max_seq = seq;
	} else if (ahead <= SEQ_MOD - MAX_MISORDER) {
		if (seq != source->bad_seq) {
			source->bad_seq = (uint16_t)(seq + 1);
			return 0;
		}
		begin_sequence(source, seq); /* two in a row: the other side restarted without saying so */
		source->timed = false;
	}
	source->received++;
	return 1;
}

/* A.8, in nanoseconds split so that nothing overflows. */
static uint32_t in_rtp_units(int64_t ns, uint32_t rate_hz)
{
	uint64_t t = (uint64_t)ns;

	return (uint32_t)(t / 1000000000u * rate_hz + t % 1000000000u * rate_hz / 1000000000u);
}

int oh_rtcp_received(struct oh_rtcp_source *source, uint16_t seq, uint32_t timestamp, uint32_t rate_hz,
                     int64_t arrival_ns)
{
	if (!update_sequence(source, seq))
		return 0;

	uint32_t transit = in_rtp_units(arrival_ns, rate_hz) - timestamp;

	if (source->timed) {
		uint32_t moved = transit - source->transit;
		uint32_t distance = moved & 0x80000000u ? 0u - moved : moved;

		/* A jump of the sender's timestamps is no jitter; it would take minutes to decay. */
		if (distance <= 10u * rate_hz)
			source->jitter_16 += distance - ((source->jitter_16 + 8u) >> 4);
	}
	source->transit = transit;
	source->timed = true;
	return 1;
}

void oh_rtcp_heard_sr(struct oh_rtcp_source *source, uint64_t ntp, int64_t now_ns)
{
	source->sr_mid = oh_rtcp_ntp_mid(ntp);
	source->sr_ns = now_ns;
}

static uint32_t expected(const struct oh_rtcp_source *source)
{
	return source->cycles + source->max_seq - source->base_seq + 1u;
}

int64_t oh_rtcp_lost(const struct oh_rtcp_source *source)
{
	return source->probation > 0 ? 0 : (int64_t)expected(source) - (int64_t)source->received;
}

uint32_t oh_rtcp_jitter(const struct oh_rtcp_source *source)
{
	return source->jitter_16 >> 4;
}

int oh_rtcp_report(struct oh_rtcp_source *source, int64_t now_ns, struct oh_rtcp_block *block)
{
	if (source->probation > 0)
		return -EAGAIN;

	uint32_t whole = expected(source);
	int64_t  expected_now = (int64_t)(whole - source->expected_before);
	int64_t  received_now = (int64_t)(source->received - source->received_before);
	int64_t  lost_now = expected_now - received_now;
	int64_t  lost = oh_rtcp_lost(source);

	source->expected_before = whole;
	source->received_before = source->received;
	if (lost > 0x7fffff)
		lost = 0x7fffff;
	if (lost < -0x800000)
		lost = -0x800000;
	*block = (struct oh_rtcp_block){
		.ssrc = source->ssrc,
		.lost = (int32_t)lost,
		.highest_seq = source->cycles + source->max_seq,
		.jitter = oh_rtcp_jitter(source),
		.lsr = source->sr_mid,
	};
	if (expected_now > 0 && lost_now > 0) {
		int64_t fraction = lost_now * 256 / expected_now;

		block->fraction_lost = (uint8_t)(fraction > 255 ? 255 : fraction);
	}
	if (source->sr_mid != 0 && now_ns > source->sr_ns) {
		uint64_t since = (uint64_t)(now_ns - source->sr_ns);

		/* 65,535 s are all that 32 bits can say */
		block->dlsr = since >= 65535000000000u
		                  ? UINT32_MAX
		                  : (uint32_t)((since / 1000000000u << 16) + ((since % 1000000000u << 16) / 1000000000u));
	}
	return 0;
}

/* ---- writing ---- */

static void write_head(uint8_t *p, unsigned count, uint8_t type, size_t bytes)
{
	assert(bytes % 4 == 0 && bytes >= 4);
	p[0] = (uint8_t)(0x80u | count);
	p[1] = type;
	put16(p + 2, (uint16_t)(bytes / 4 - 1));
}

static void write_block(uint8_t *p, const struct oh_rtcp_block *block)
{
	put32(p, block->ssrc);
	put32(p + 4, (uint32_t)block->lost & 0xffffffu);
	p[4] = block->fraction_lost;
	put32(p + 8, block->highest_seq);
	put32(p + 12, block->jitter);
	put32(p + 16, block->lsr);
	put32(p + 20, block->dlsr);
}

int oh_rtcp_build(uint8_t *data, size_t cap, size_t *len, const struct oh_rtcp_report *report)
{
	size_t cname = report->cname ? strlen(report->cname) : 0;
	size_t reason = report->bye && report->reason ? strlen(report->reason) : 0;

	if (cname == 0 || cname > OH_RTCP_NAME || reason > OH_RTCP_NAME)
		return -EINVAL;

	size_t first = 8u + (report->sender ? SENDER_BYTES : 0u) + (report->block ? BLOCK_BYTES : 0u);
	size_t sdes = (8u + 2u + cname + 1u + 3u) & ~(size_t)3;
	size_t xr = report->xr ? oh_xr_bytes(report->xr) : 0;
	size_t bye = report->bye ? (8u + (reason ? 1u + reason : 0u) + 3u) & ~(size_t)3 : 0;

	if (cap < first + sdes + xr + bye)
		return -ENOBUFS;
	memset(data, 0, first + sdes + xr + bye);

	uint8_t *p = data;

	write_head(p, report->block ? 1 : 0, report->sender ? TYPE_SR : TYPE_RR, first);
	put32(p + 4, report->ssrc);
	if (report->sender) {
		put32(p + 8, (uint32_t)(report->ntp >> 32));
		put32(p + 12, (uint32_t)report->ntp);
		put32(p + 16, report->rtp_timestamp);
		put32(p + 20, report->packets);
		put32(p + 24, report->octets);
	}
	if (report->block)
		write_block(p + first - BLOCK_BYTES, report->block);

	p += first;
	write_head(p, 1, TYPE_SDES, sdes);
	put32(p + 4, report->ssrc);
	p[8] = SDES_CNAME;
	p[9] = (uint8_t)cname;
	memcpy(p + 10, report->cname, cname);

	p += sdes;
	if (xr)
		oh_xr_write(p, report->ssrc, report->xr);
	if (bye) {
		p += xr;
		write_head(p, 1, TYPE_BYE, bye);
		put32(p + 4, report->ssrc);
		if (reason) {
			p[8] = (uint8_t)reason;
			memcpy(p + 9, report->reason, reason);
		}
	}
	*len = first + sdes + xr + bye;
	return 0;
}

uint64_t oh_rtcp_ntp(int64_t realtime_ns)
{
	const uint64_t seconds_1900_to_1970 = 2208988800u;
	uint64_t       ns = (uint64_t)realtime_ns;

	return (ns / 1000000000u + seconds_1900_to_1970) << 32 | (ns % 1000000000u << 32) / 1000000000u;
}

int oh_rtcp_round_trip(const struct oh_rtcp_block *block, uint32_t now_mid, int64_t *rtt_ns)
{
	if (block->lsr == 0)
		return -EAGAIN;

	int64_t rtt = (int32_t)(now_mid - block->lsr - block->dlsr);

	if (rtt < -655 || rtt > 60 * 65536) /* 10 ms below nothing is rounding and clocks; more is nonsense */
		return -ERANGE;
	*rtt_ns = rtt < 0 ? 0 : (rtt * 1000000000) / 65536;
	return 0;
}
