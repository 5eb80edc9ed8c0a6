/*
 * oh_xr.h - RTCP extended reports (RFC 3611): the three blocks that a telephone call has use for.
 *
 *   4  receiver reference time (4.4)  the time at which somebody reports who sends no RTP, and so no SR,
 *   5  DLRR (4.5)                     what comes back, from which that one computes the round trip
 *   7  VoIP metrics (4.7)             how well the stream of a source arrives
 *
 * Blocks of other types are checked for their length and skipped. Knows one XR packet; oh_rtcp.h puts it into compounds.
 */
#ifndef OH_XR_H
#define OH_XR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_XR_BLOCKS 4u   /* kept of each kind; the rest is checked and dropped */
#define OH_XR_NONE   127u /* of the fields that say so below: not known */

struct oh_xr_dlrr {
	uint32_t ssrc; /* whose receiver reference time this answers */
	uint32_t lrr;  /* the middle 32 bits of it; 0: none came */
	uint32_t dlrr; /* since it came, 1/65536 s */
};

struct oh_xr_voip {               /* since the stream began */
	uint32_t ssrc;            /* whom it is about */
	uint16_t burst_ms;        /* mean length of bursts */
	uint16_t gap_ms;          /* and of gaps */
	uint16_t round_trip_ms;   /* between the two RTP ends; 0: not known */
	uint16_t end_system_ms;   /* delay in the reporter's own system; 0: not known */
	uint16_t jb_nominal_ms;   /* jitter buffer: its delay for a packet on time, */
	uint16_t jb_maximum_ms;   /* for one as late as it takes now, */
	uint16_t jb_most_ms;      /* and as late as it could ever take */
	uint8_t  lost;            /* 1/256 of the packets, never came */
	uint8_t  discarded;       /* 1/256, came too late */
	uint8_t  burst_density;   /* 1/256 of the packets in bursts were lost or discarded */
	uint8_t  gap_density;     /* and of those in gaps */
	int8_t   signal_dbm;      /* dBm0; OH_XR_NONE */
	int8_t   noise_dbm;       /* dBm0; OH_XR_NONE */
	uint8_t  rerl_db;         /* residual echo return loss; OH_XR_NONE */
	uint8_t  gmin;            /* packets that end a burst */
	uint8_t  r;               /* 0..100; OH_XR_NONE */
	uint8_t  external_r;      /* of a part of the way beyond RTP; OH_XR_NONE */
	uint8_t  mos_lq;          /* 10..50: listening quality times 10; OH_XR_NONE */
	uint8_t  mos_cq;          /* 10..50: conversational quality times 10; OH_XR_NONE */
	uint8_t  config;          /* receiver configuration: OH_XR_CONCEALS ... */
};

#define OH_XR_CONCEALS 0x80u /* "enhanced" concealment, as better than silence is called there */

struct oh_xr {
	struct oh_xr_dlrr dlrrs[OH_XR_BLOCKS];
	struct oh_xr_voip voips[OH_XR_BLOCKS];
	size_t            dlrr_count;
	size_t            voip_count;
	uint64_t          ntp;  /* receiver reference time */
	bool              reference; /* there was one */
};

/*
 * Read the report blocks of one XR packet, which are added to those of `out`.
 *   blocks  what follows the sender's SSRC; len its bytes
 * 0; -EBADMSG: lengths that lie.
 */
int oh_xr_read(struct oh_xr *out, const uint8_t *blocks, size_t len);

/* Bytes of an XR packet with these blocks, header and SSRC counted; 0 where there is none. */
size_t oh_xr_bytes(const struct oh_xr *xr);

/* Write that packet; `data` has room for oh_xr_bytes of it. The counts must be OH_XR_BLOCKS or less. */
void oh_xr_write(uint8_t *data, uint32_t ssrc, const struct oh_xr *xr);

#endif
