/*
 * oh_rtp.h - RTP packets (RFC 3550 section 5.1): checked parsing, building, and arithmetic on numbers that wrap.
 *
 * Knows no socket, no codec and no stream: one packet at a time. Statistics over a stream are in oh_rtcp.h.
 */
#ifndef OH_RTP_H
#define OH_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_RTP_HEADER 12u  /* bytes of the header that oh_rtp_build writes: no CSRC, no extension */
#define OH_RTP_MAX    1500u /* longest packet taken, bytes: one Ethernet frame's worth */

struct oh_rtp {
	const uint8_t *payload;        /* into the packet given to oh_rtp_parse; valid as long as that is */
	size_t         payload_len;    /* bytes, padding taken off; 0 is legal */
	const uint8_t *extension;      /* body of the header extension, or NULL */
	size_t         extension_len;  /* bytes */
	uint32_t       ssrc;           /* synchronisation source */
	uint32_t       timestamp;      /* of the payload's first sample */
	uint16_t       seq;            /* sequence number */
	uint16_t       extension_kind; /* "defined by profile" (RFC 3550 5.3.1), where there is an extension */
	uint8_t        payload_type;   /* 0..127 */
	uint8_t        csrc_count;     /* contributing sources, 0..15; checked and skipped */
	bool           marker;         /* first packet of a talkspurt, for audio */
};

/*
 * Parse one packet.
 *   out   filled on success, untouched otherwise
 *   data  the packet; len its bytes
 * 0; -EBADMSG: not a whole RTP packet of version 2 (too short, over OH_RTP_MAX, lengths that lie, padding of zero or
 * more than there is); -EPROTO: looks like RTCP multiplexed on the port (RFC 5761 section 4: second byte 192..223).
 */
int oh_rtp_parse(struct oh_rtp *out, const uint8_t *data, size_t len);

/*
 * Write the 12-byte header for a packet without CSRCs, extension or padding; the payload goes right behind it.
 *   head  marker, payload_type, seq, timestamp, ssrc are used, the rest ignored
 * 0; -ENOBUFS: cap below OH_RTP_HEADER; -EINVAL: payload_type above 127.
 */
int oh_rtp_build(uint8_t *data, size_t cap, const struct oh_rtp *head);

/* a - b on 16-bit sequence numbers that wrap: -32768..32767 (RFC 1982 order; exactly half way counts as negative). */
static inline int oh_seq_diff(uint16_t a, uint16_t b)
{
	return (int16_t)(uint16_t)(a - b);
}

/* a - b on 32-bit timestamps that wrap: samples, negative where a is older. */
static inline int32_t oh_ts_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

#endif
