/* latch.c - whose RTP packets a port takes. */
#include "oh_latch.h"

#include <string.h>

#include "oh_core.h"

#define SAME_SOURCE_PACKETS 2u /* a new stream from the very address that is latched needs less proof */

void oh_latch_signalled(struct oh_latch *latch, uint32_t ip, uint16_t port)
{
	memset(latch, 0, sizeof(*latch));
	latch->signalled = ip;
	latch->signalled_port = port;
}

void oh_latch_select(struct oh_latch *latch, uint32_t ip, uint16_t port)
{
	latch->signalled = latch->ip = ip;
	latch->signalled_port = latch->port = port;
	latch->candidate.count = 0;
	latch->digits.count = 0;
}

static enum oh_verdict take(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, int64_t now_ns)
{
	bool address = !latch->on || latch->ip != ip || latch->port != port;
	bool moved = address || latch->ssrc != ssrc;

	latch->on = true;
	latch->ip = ip;
	latch->port = port;
	latch->ssrc = ssrc;
	latch->heard_ns = now_ns;
	if (moved)
		latch->candidate.count = 0;
	if (address)
		latch->digits.count = 0;
	return moved ? OH_TAKE_MOVED : OH_TAKE;
}

static bool is_of(const struct oh_latch_run *run, uint32_t ip, uint16_t port, uint32_t ssrc)
{
	return run->count != 0 && run->ip == ip && run->port == port && run->ssrc == ssrc;
}

/* Packets in sequence that this stream has sent without being believed, this one included. */
static uint32_t follow(struct oh_latch_run *run, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq)
{
	bool     next = is_of(run, ip, port, ssrc) && (uint16_t)(run->seq + 1u) == seq;
	uint32_t count = next ? run->count + 1u : 1u;

	*run = (struct oh_latch_run){.ip = ip, .port = port, .ssrc = ssrc, .seq = seq, .count = count};
	return count;
}

/*
 * Digits from the latched address under another SSRC: some gateways and telephones send them so (RFC 4733 2.1 would have
 * them in the voice's stream). They must show as much as a new voice from there would have to, and only then count.
 */
static enum oh_verdict judge_digits(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq)
{
	if (is_of(&latch->digits, ip, port, ssrc) && latch->digits.count >= SAME_SOURCE_PACKETS)
		return OH_TAKE_DIGITS;
	return follow(&latch->digits, ip, port, ssrc, seq) >= SAME_SOURCE_PACKETS ? OH_TAKE_DIGITS : OH_WRONG_SSRC;
}

bool oh_latch_shuts_out(const struct oh_latch *latch, uint32_t ip)
{
	return latch->on && latch->ip != ip && latch->signalled != ip;
}

enum oh_verdict oh_latch_judge(struct oh_latch *latch, uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq,
                               bool digits, int64_t now_ns)
{
	bool     signalled = ip == latch->signalled;
	bool     named = signalled && port == latch->signalled_port;
	bool     same_ip, same_source;
	uint32_t count;

	if (oh_latch_shuts_out(latch, ip))
		return OH_WRONG_SOURCE;
	if (!latch->on) {
		if (signalled || follow(&latch->candidate, ip, port, ssrc, seq) >= OH_LATCH_PACKETS)
			return take(latch, ip, port, ssrc, now_ns);
		return OH_WRONG_SOURCE;
	}
	same_ip = latch->ip == ip;
	same_source = same_ip && latch->port == port;
	if (same_source && latch->ssrc == ssrc)
		return take(latch, ip, port, ssrc, now_ns);
	if (same_source && digits)
		return judge_digits(latch, ip, port, ssrc, seq);
	if (!same_ip) /* who was named is believed over who merely sent first */
		return take(latch, ip, port, ssrc, now_ns);
	count = follow(&latch->candidate, ip, port, ssrc, seq);
	if ((same_source || named) && count >= SAME_SOURCE_PACKETS)
		return take(latch, ip, port, ssrc, now_ns);
	/* Once the latched port is silent, the stream may go on from another one (a NAT forgot and remembered). While it
	 * speaks, knowing its SSRC and sharing its address (behind one NAT, in one cloud) does not help. */
	if (count >= SAME_SOURCE_PACKETS && ssrc == latch->ssrc && now_ns - latch->heard_ns >= OH_LATCH_REBIND_NS)
		return take(latch, ip, port, ssrc, now_ns);
	if (count >= OH_LATCH_PACKETS && now_ns - latch->heard_ns >= OH_LATCH_SILENCE_NS)
		return take(latch, ip, port, ssrc, now_ns);
	return OH_WRONG_SSRC;
}
