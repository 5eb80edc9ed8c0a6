/* rtp.c - one RTP packet: checked parsing and building (RFC 3550 section 5). */
#include "oh_rtp.h"

#include <assert.h>
#include <errno.h>

#include "wire.h"

int oh_rtp_parse(struct oh_rtp *out, const uint8_t *data, size_t len)
{
	if (len < OH_RTP_HEADER || len > OH_RTP_MAX || data[0] >> 6 != 2)
		return -EBADMSG;
	if (data[1] >= 192 && data[1] <= 223) /* RFC 5761 section 4: these are RTCP's */
		return -EPROTO;

	struct oh_rtp rtp = {
		.marker = data[1] >> 7,
		.payload_type = data[1] & 0x7f,
		.seq = get16(data + 2),
		.timestamp = get32(data + 4),
		.ssrc = get32(data + 8),
		.csrc_count = data[0] & 0x0f,
	};
	size_t at = OH_RTP_HEADER + 4u * rtp.csrc_count;
	size_t end = len;

	if (at > len)
		return -EBADMSG;
	if (data[0] & 0x10) { /* header extension (5.3.1) */
		if (len - at < 4)
			return -EBADMSG;
		rtp.extension_kind = get16(data + at);
		rtp.extension_len = 4u * get16(data + at + 2);
		at += 4;
		if (len - at < rtp.extension_len)
			return -EBADMSG;
		rtp.extension = data + at;
		at += rtp.extension_len;
	}
	if (data[0] & 0x20) { /* padding: its last byte counts it, itself included (5.1) */
		size_t padding = data[len - 1];

		if (padding == 0 || padding > len - at)
			return -EBADMSG;
		end = len - padding;
	}
	assert(at <= end && end <= len);
	rtp.payload = data + at;
	rtp.payload_len = end - at;
	*out = rtp;
	return 0;
}

int oh_rtp_build(uint8_t *data, size_t cap, const struct oh_rtp *head)
{
	if (cap < OH_RTP_HEADER)
		return -ENOBUFS;
	if (head->payload_type > 127)
		return -EINVAL;
	data[0] = 0x80;
	data[1] = (uint8_t)((head->marker ? 0x80 : 0) | head->payload_type);
	put16(data + 2, head->seq);
	put32(data + 4, head->timestamp);
	put32(data + 8, head->ssrc);
	return 0;
}
