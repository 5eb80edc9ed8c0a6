/*
 * latch.c - see latch.h.
 */
#include "latch.h"

#include <string.h>

#include "oh_core.h"

#define SAME_SOURCE_PACKETS 2u /* a new stream from the very address that is latched needs less proof */

void oh_latch_signalled(struct oh_latch *latch, uint32_t ip)
{
	memset(latch, 0, sizeof(*latch));
	latch->signalled = ip;
}

static enum oh_verdict take(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, int64_t now_ns)
{
	bool moved = !latch->on || latch->ip != ip || latch->port != port || latch->ssrc != ssrc;

	latch->on = true;
	latch->ip = ip;
	latch->port = port;
	latch->ssrc = ssrc;
	latch->heard_ns = now_ns;
	if (moved)
		latch->candidate_count = 0;
	return moved ? OH_TAKE_MOVED : OH_TAKE;
}

/* Packets in sequence that this stream has sent without being believed, this one included. */
static uint32_t candidate(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq)
{
	bool same = latch->candidate_count != 0 && latch->candidate_ip == ip && latch->candidate_port == port &&
	            latch->candidate_ssrc == ssrc && (uint16_t)(latch->candidate_seq + 1u) == seq;

	latch->candidate_ip = ip;
	latch->candidate_port = port;
	latch->candidate_ssrc = ssrc;
	latch->candidate_seq = seq;
	latch->candidate_count = same ? latch->candidate_count + 1u : 1u;
	return latch->candidate_count;
}

enum oh_verdict oh_latch_judge(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq,
                               int64_t now_ns)
{
	bool     signalled = ip == latch->signalled;
	bool     same_source;
	uint32_t count;

	if (!latch->on) {
		if (signalled || candidate(latch, ip, port, ssrc, seq) >= OH_LATCH_PACKETS)
			return take(latch, ip, port, ssrc, now_ns);
		return OH_WRONG_SOURCE;
	}
	same_source = latch->ip == ip && latch->port == port;
	if (same_source && latch->ssrc == ssrc)
		return take(latch, ip, port, ssrc, now_ns);
	/* The signalled address is believed over one that merely kept sending; a stream of its own that changed its port
	 * (a NAT forgot and remembered) is still that stream. */
	if (signalled && (latch->ip != latch->signalled || latch->ssrc == ssrc))
		return take(latch, ip, port, ssrc, now_ns);
	count = candidate(latch, ip, port, ssrc, seq);
	if (same_source && count >= SAME_SOURCE_PACKETS)
		return take(latch, ip, port, ssrc, now_ns);
	if (signalled && count >= OH_LATCH_PACKETS && now_ns - latch->heard_ns >= OH_LATCH_SILENCE_NS)
		return take(latch, ip, port, ssrc, now_ns);
	return ip == latch->ip ? OH_WRONG_SSRC : OH_WRONG_SOURCE;
}
