/*
 * latch.h - whose RTP packets a port takes (symmetric RTP, RFC 4961, without what makes it a hole).
 *
 * The rules are told in oh_core.h. Pure: knows no socket and no clock.
 */
#ifndef OH_LATCH_H
#define OH_LATCH_H

#include <stdbool.h>
#include <stdint.h>

#define OH_LATCH_SILENCE_NS 1000000000ll /* the signalled address may change port and stream after this silence */

enum oh_verdict {
	OH_TAKE,         /* the far end's */
	OH_TAKE_MOVED,   /* the far end's, and its address or stream is another one from here on */
	OH_WRONG_SOURCE, /* drop: from an address that is not the far end's */
	OH_WRONG_SSRC,   /* drop: from the far end's address, of another stream */
};

struct oh_latch {
	uint32_t signalled;       /* IP address that signalling named, network byte order */
	bool     on;              /* the three below are set */
	uint32_t ip;              /* network byte order */
	uint16_t port;            /* host byte order */
	uint32_t ssrc;
	int64_t  heard_ns;        /* last packet taken */
	uint32_t candidate_ip;    /* somebody else, and how many packets in sequence they have sent */
	uint16_t candidate_port;
	uint16_t candidate_seq;
	uint32_t candidate_ssrc;
	uint32_t candidate_count;
};

/* Signalling spoke: take packets of this address; what was learned is forgotten. */
void oh_latch_signalled(struct oh_latch *latch, uint32_t ip);

/* Judge a packet that is valid RTP of a negotiated payload type. Times are CLOCK_MONOTONIC. */
enum oh_verdict oh_latch_judge(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq,
                               int64_t now_ns);

#endif
