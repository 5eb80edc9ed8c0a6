/*
 * quality.h - how well a call is heard at both ends, and what is told of it: quality.c.
 */
#ifndef OH_QUALITY_H
#define OH_QUALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_core.h"
#include "oh_rtcp.h"
#include "oh_rtp.h"
#include "oh_voip.h"
#include "oh_xr.h"

struct oh_port;

#define OH_QUALITY_NS (OH_QUALITY_MS * 1000000ll)

struct oh_seen {                         /* how well the call is heard */
	struct oh_voip    voip;          /* bursts and gaps of what comes */
	int64_t           due_ns;        /* when that is told next, */
	int64_t           since_ns;      /* and of what time on */
	uint32_t          timestamp;     /* of the last packet, */
	uint16_t          seq;           /* its number, */
	uint32_t          packet_ticks;  /* and the length of packets, RTP ticks */
	bool              left;          /* the source said goodbye, and has not spoken since */
	uint32_t          reports;       /* blocks about us since the last time it was told, */
	double            reported_lost; /* the sum of their fractions lost, */
	uint32_t          reported_jitter; /* the last one's jitter, */
	uint64_t          told_out;      /* and packets_out by then */
	struct oh_xr_voip said;          /* the far end's own metrics, where there were any */
	bool              said_any;
	int64_t           reference_ns;  /* when a receiver reference time came that is still to be answered; 0: none is */
	uint32_t          reference_mid; /* the middle of it, */
	uint32_t          reference_ssrc; /* and whose */
};

void oh_quality_heard(struct oh_port *port, const struct oh_rtp *rtp, bool late); /* a packet that counts */
uint64_t oh_quality_late(const struct oh_port *port); /* packets that came too late for whoever listens */
void oh_quality_told(struct oh_port *port, const struct oh_rtcp *rtcp);           /* the far end reported */
void oh_quality_begin(struct oh_port *port); /* signalling spoke for the first time */
void oh_quality_tick(struct oh_port *port);
void oh_quality_whole(const struct oh_port *port, struct oh_quality_side *side);  /* what was heard since it opened */
void oh_quality_report(struct oh_port *port, uint64_t ntp, bool sender, struct oh_xr *xr); /* what our report adds */

#endif
