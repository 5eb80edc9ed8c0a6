/*
 * oh_latch.h - whose RTP packets a port takes (symmetric RTP, RFC 4961, without what makes it a hole).
 *
 * The rules are told in oh_core.h. Pure: knows no socket and no clock.
 */
#ifndef OH_LATCH_H
#define OH_LATCH_H

#include <stdbool.h>
#include <stdint.h>

#define OH_LATCH_REBIND_NS  100000000ll  /* a stream may go on from another port of its address after this silence */
#define OH_LATCH_SILENCE_NS 1000000000ll /* its address may send another stream from another port after this silence */

enum oh_verdict {
	OH_TAKE,         /* the far end's */
	OH_TAKE_MOVED,   /* the far end's, and its address or stream is another one from here on */
	OH_TAKE_DIGITS,  /* keys pressed at the far end, in a stream of their own beside the voice */
	OH_WRONG_SOURCE, /* drop: from an address that is not the far end's */
	OH_WRONG_SSRC,   /* drop: from the far end's address, of another stream */
};

struct oh_latch_run {     /* packets in sequence of one stream that is not believed (yet) */
	uint32_t ip;      /* network byte order */
	uint32_t ssrc;
	uint32_t count;   /* 0: none seen */
	uint16_t port;    /* host byte order */
	uint16_t seq;     /* of the newest */
};

struct oh_latch {
	uint32_t            signalled;      /* IP address that signalling named, network byte order */
	uint16_t            signalled_port; /* and its port, host byte order */
	bool                on;             /* the four below are set */
	uint32_t            ip;             /* network byte order */
	uint16_t            port;           /* host byte order */
	uint32_t            ssrc;
	int64_t             heard_ns;       /* last packet taken of that stream */
	struct oh_latch_run candidate;      /* somebody else */
	struct oh_latch_run digits;         /* the far end's own second stream, of digits */
};

/* Signalling spoke: take packets of this address (ip in network byte order); what was learned is forgotten. */
void oh_latch_signalled(struct oh_latch *latch, uint32_t ip, uint16_t port);

/* The far end goes on from this address, which is beyond doubt: its stream is taken from there, and from nowhere else. */
void oh_latch_select(struct oh_latch *latch, uint32_t ip, uint16_t port);

/* Is this an address (network byte order) from which nothing would be taken, whatever it is? Such packets need not be opened. */
bool oh_latch_shuts_out(const struct oh_latch *latch, uint32_t ip);

/*
 * Judge a packet that is valid RTP of a negotiated payload type.
 *   ip, port  where it came from, network and host byte order
 *   digits    it is of telephone-event's payload type
 *   now_ns    CLOCK_MONOTONIC
 */
enum oh_verdict oh_latch_judge(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq,
                               bool digits, int64_t now_ns);

#endif
