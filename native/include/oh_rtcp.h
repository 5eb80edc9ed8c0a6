/*
 * oh_rtcp.h - RTCP (RFC 3550 section 6): reports read and written, and the reception statistics that go into them.
 *
 * For one remote source per port. Times: `ntp` is a 64-bit NTP timestamp (seconds since 1900 and fraction),
 * `ntp_mid` its middle 32 bits (units of 1/65536 s). Knows no socket and no timer.
 */
#ifndef OH_RTCP_H
#define OH_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_xr.h"

#define OH_RTCP_BLOCKS    8u   /* report blocks and BYE sources kept of one compound packet; the rest is checked and dropped */
#define OH_RTCP_NAME      255u /* longest CNAME or reason, bytes */
#define OH_RTCP_MAX       1500u /* longest compound packet taken, bytes */
#define OH_RTCP_BUILT     900u /* longest compound packet built, bytes */

struct oh_rtcp_block {                  /* a reception report (RFC 3550 section 6.4.1) */
	uint32_t ssrc;          /* whom it is about */
	int32_t  lost;          /* cumulative, 24 bits signed */
	uint32_t highest_seq;   /* extended highest sequence number received */
	uint32_t jitter;        /* interarrival jitter, RTP timestamp units */
	uint32_t lsr;           /* ntp_mid of the last SR from that source, 0: none */
	uint32_t dlsr;          /* since then, 1/65536 s */
	uint8_t  fraction_lost; /* of the packets since the last report, 1/256 */
};

/* ---- reading ---- */

struct oh_rtcp {                                            /* what one compound packet said */
	struct oh_rtcp_block blocks[OH_RTCP_BLOCKS];
	uint32_t             byes[OH_RTCP_BLOCKS];      /* sources that left */
	size_t               block_count;               /* of blocks */
	size_t               bye_count;                 /* of byes */
	uint64_t             ntp;                       /* of the SR */
	uint32_t             ssrc;                      /* of the packet's sender */
	uint32_t             rtp_timestamp;             /* of the SR */
	uint32_t             packets;                   /* sent, of the SR */
	uint32_t             octets;                    /* sent, of the SR */
	bool                 sender;                    /* there was an SR: the four fields above are set */
	struct oh_xr         xr;                        /* of the packet's sender (RFC 3611) */
	char                 cname[OH_RTCP_NAME + 1u];  /* of the sender, "" where none; any bytes but 0 (cut at a 0) */
	char                 reason[OH_RTCP_NAME + 1u]; /* of the BYE, "" where none; likewise */
};

/*
 * Read a compound packet (validity checks of RFC 3550 A.2: version 2 throughout, lengths add up, padding only in the
 * last), or one of reduced size, which need not begin with SR or RR (RFC 5506). Unknown packet types and feedback (RFC
 * 4585) are skipped; of an XR (RFC 3611) that another sends than the first packet's sender, nothing is kept.
 *   out  filled on success, undefined otherwise
 * 0; -EBADMSG: not such a packet.
 */
int oh_rtcp_parse(struct oh_rtcp *out, const uint8_t *data, size_t len);

/* ---- statistics of one source received ---- */

struct oh_rtcp_source {
	uint32_t ssrc;            /* of the source */
	uint32_t cycles;          /* sequence numbers' wraps, shifted left by 16 */
	uint32_t base_seq;        /* first sequence number */
	uint32_t bad_seq;         /* last bad sequence number + 1; 65537: none */
	uint32_t received;        /* packets, late and repeated ones too (RFC 3550 A.3) */
	uint32_t expected_before; /* at the last report */
	uint32_t received_before; /* at the last report */
	uint32_t transit;         /* of the last packet, RTP units */
	uint32_t jitter_16;       /* interarrival jitter, RTP units times 16 (A.8) */
	uint32_t sr_mid;          /* ntp_mid of the last SR heard from it, 0: none */
	int64_t  sr_ns;           /* when that came, CLOCK_MONOTONIC */
	uint16_t max_seq;         /* highest sequence number seen */
	uint16_t probation;       /* packets still to come in sequence before the source is valid */
	bool     timed;           /* transit is set */
};

/* Start with the first packet's sequence number; that packet must then be given to oh_rtcp_received too. */
void oh_rtcp_source_init(struct oh_rtcp_source *source, uint32_t ssrc, uint16_t seq);

/*
 * An RTP packet of the source arrived (RFC 3550 A.1: 2 packets of probation, a jump is believed when a second packet
 * follows it in sequence).
 *   timestamp  of the packet; rate_hz its clock (8000); arrival_ns CLOCK_MONOTONIC
 * 1: counted; 0: not (yet): source on probation, or a sequence number too far away.
 */
int oh_rtcp_received(struct oh_rtcp_source *source, uint16_t seq, uint32_t timestamp, uint32_t rate_hz,
                     int64_t arrival_ns);

/* The source's SR arrived, at now_ns (CLOCK_MONOTONIC): for LSR and DLSR. */
void oh_rtcp_heard_sr(struct oh_rtcp_source *source, uint64_t ntp, int64_t now_ns);

/* Packets lost so far: expected less received; negative where packets came twice. */
int64_t oh_rtcp_lost(const struct oh_rtcp_source *source);

/* Interarrival jitter in RTP timestamp units. */
uint32_t oh_rtcp_jitter(const struct oh_rtcp_source *source);

/*
 * Fill a report block about the source and begin the next interval (A.3: fraction lost is of this interval).
 * 0; -EAGAIN: nothing valid was received yet, no block should be sent.
 */
int oh_rtcp_report(struct oh_rtcp_source *source, int64_t now_ns, struct oh_rtcp_block *block);

/* ---- writing ---- */

struct oh_rtcp_report {                 /* one compound packet to send */
	uint32_t                    ssrc;          /* ours */
	bool                        sender;        /* SR (we sent RTP since the last report), else RR */
	uint64_t                    ntp;           /* SR: now, see oh_rtcp_ntp */
	uint32_t                    rtp_timestamp; /* SR: our RTP clock at the same moment */
	uint32_t                    packets;       /* SR: RTP packets we sent */
	uint32_t                    octets;        /* SR: payload bytes we sent */
	const struct oh_rtcp_block *block;         /* about the remote source, or NULL */
	const struct oh_xr         *xr;            /* blocks of an XR, or NULL */
	const char                 *cname;         /* 1..255 bytes; RFC 7022: random per call */
	bool                        bye;           /* append a BYE */
	const char                 *reason;        /* of the BYE, or NULL */
};

/*
 * Write SR or RR, SDES with the CNAME, XR and BYE where asked.
 *   len  bytes written
 * 0; -ENOBUFS: cap is too small (OH_RTCP_BUILT always do); -EINVAL: CNAME missing or empty, or CNAME or reason over 255 bytes.
 */
int oh_rtcp_build(uint8_t *data, size_t cap, size_t *len, const struct oh_rtcp_report *report);

/* NTP timestamp of a CLOCK_REALTIME value (nanoseconds since 1970). */
uint64_t oh_rtcp_ntp(int64_t realtime_ns);

/* Middle 32 bits of an NTP timestamp. */
static inline uint32_t oh_rtcp_ntp_mid(uint64_t ntp)
{
	return (uint32_t)(ntp >> 16);
}

/*
 * Round-trip time out of a report block about us (RFC 3550 section 6.4.1).
 *   now_mid  ntp_mid of its arrival by the clock that stamped our SRs; rtt_ns: result
 * 0; -EAGAIN: the remote has had no SR of ours yet; -ERANGE: the figures make no sense (negative beyond rounding,
 * or over 60 s).
 */
int oh_rtcp_round_trip(const struct oh_rtcp_block *block, uint32_t now_mid, int64_t *rtt_ns);

#endif
