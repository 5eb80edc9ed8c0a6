/*
 * oh_demux.h - which of the datagrams on an ICE port's one socket are media, which are for the ICE and DTLS agents, and
 * which for nobody (RFC 7983, RFC 5761).
 *
 * STUN may come from anywhere, for that is how an address proves itself, and so may DTLS while no address is selected, for
 * where there is no ICE that is how; all else only from the one address that an agent has selected, and for OH_DEMUX_BEFORE_NS media that was on its way still from the one selected before. STUN and
 * DTLS that are handed up cost more than they do here: of each, OH_DEMUX_BURST datagrams are let through at once, then one
 * every OH_DEMUX_LEAST_NS. What strangers send is counted apart from the selected address's, for without its checks (RFC
 * 7675) a call would end. Pure: knows no socket and no clock, reads two bytes.
 */
#ifndef OH_DEMUX_H
#define OH_DEMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_DEMUX_BURST    100u
#define OH_DEMUX_LEAST_NS 20000000ll /* 50 a second */
#define OH_DEMUX_BEFORE_NS 1000000000ll

enum oh_demux_kind {
	OH_DEMUX_STUN,  /* first byte 0..3 */
	OH_DEMUX_DTLS,  /* 20..63 */
	OH_DEMUX_RTP,   /* 128..191 */
	OH_DEMUX_RTCP,  /* the same, second byte 192..223 */
	OH_DEMUX_OTHER, /* ZRTP, TURN channels, QUIC, nothing at all */
};

enum oh_demux_verdict {
	OH_DEMUX_HAND_UP,       /* to the ICE or the DTLS agent */
	OH_DEMUX_MEDIA,         /* RTP of whom is selected */
	OH_DEMUX_REPORT,        /* RTCP likewise */
	OH_DEMUX_WRONG_SOURCE,  /* drop: not from the selected address */
	OH_DEMUX_TOO_MANY,      /* drop: more STUN or DTLS than an agent needs */
	OH_DEMUX_BAD,           /* drop: of no kind that belongs here */
};

struct oh_demux {
	uint32_t ip;              /* selected, network byte order */
	uint16_t port;            /* selected, host byte order; 0: none is */
	uint32_t before_ip;       /* likewise, what was selected before */
	uint16_t before_port;
	int64_t  before_until_ns; /* CLOCK_MONOTONIC */
	int64_t  stun_free_ns;    /* the buckets: when the next one would be let through had there been no pause */
	int64_t  stranger_free_ns; /* STUN and DTLS from elsewhere */
	int64_t  dtls_free_ns;
};

/* What a datagram is. */
enum oh_demux_kind oh_demux_kind(const uint8_t *data, size_t len);

/* Nothing is selected. */
void oh_demux_init(struct oh_demux *demux);

/* The ICE agent speaks: ip in network, port in host byte order; port 0: nothing is selected, and nothing was. */
void oh_demux_select(struct oh_demux *demux, uint32_t ip, uint16_t port, int64_t now_ns);

/*
 * Judge a datagram.
 *   ip, port  where it came from, network and host byte order
 *   now_ns    CLOCK_MONOTONIC
 */
enum oh_demux_verdict oh_demux_judge(struct oh_demux *demux, uint32_t ip, uint16_t port, const uint8_t *data, size_t len,
                                     int64_t now_ns);

#endif
