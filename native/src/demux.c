/* demux.c - which of the datagrams on an ICE port's one socket are whose. */
#include "oh_demux.h"

#include <string.h>

enum oh_demux_kind oh_demux_kind(const uint8_t *data, size_t len)
{
	if (len == 0)
		return OH_DEMUX_OTHER;
	if (data[0] <= 3)
		return OH_DEMUX_STUN;
	if (data[0] >= 20 && data[0] <= 63)
		return OH_DEMUX_DTLS;
	if (data[0] < 128 || data[0] > 191 || len < 2)
		return OH_DEMUX_OTHER;
	return data[1] >= 192 && data[1] <= 223 ? OH_DEMUX_RTCP : OH_DEMUX_RTP;
}

void oh_demux_init(struct oh_demux *demux)
{
	memset(demux, 0, sizeof(*demux));
}

void oh_demux_select(struct oh_demux *demux, uint32_t ip, uint16_t port, int64_t now_ns)
{
	demux->before_ip = port == 0 ? 0 : demux->ip;
	demux->before_port = port == 0 ? 0 : demux->port;
	demux->before_until_ns = now_ns + OH_DEMUX_BEFORE_NS;
	demux->ip = port == 0 ? 0 : ip;
	demux->port = port;
}

static enum oh_demux_verdict hand_up(int64_t *free_ns, int64_t now_ns)
{
	int64_t most_ns = (int64_t)(OH_DEMUX_BURST - 1u) * OH_DEMUX_LEAST_NS;

	if (*free_ns < now_ns)
		*free_ns = now_ns;
	if (*free_ns - now_ns > most_ns)
		return OH_DEMUX_TOO_MANY;
	*free_ns += OH_DEMUX_LEAST_NS;
	return OH_DEMUX_HAND_UP;
}

enum oh_demux_verdict oh_demux_judge(struct oh_demux *demux, uint32_t ip, uint16_t port, const uint8_t *data, size_t len,
                                     int64_t now_ns)
{
	enum oh_demux_kind kind = oh_demux_kind(data, len);
	bool               selected = demux->port != 0 && demux->port == port && demux->ip == ip;

	if (kind == OH_DEMUX_STUN)
		return hand_up(selected ? &demux->stun_free_ns : &demux->stranger_free_ns, now_ns);
	if (kind == OH_DEMUX_OTHER)
		return OH_DEMUX_BAD;
	if (kind == OH_DEMUX_DTLS && selected)
		return hand_up(&demux->dtls_free_ns, now_ns);
	if (kind == OH_DEMUX_DTLS) /* while nobody is selected, a certificate may say who is to be */
		return demux->port == 0 ? hand_up(&demux->stranger_free_ns, now_ns) : OH_DEMUX_WRONG_SOURCE;
	if (!selected && (demux->before_port == 0 || demux->before_port != port || demux->before_ip != ip ||
	                  now_ns >= demux->before_until_ns))
		return OH_DEMUX_WRONG_SOURCE;
	return kind == OH_DEMUX_RTP ? OH_DEMUX_MEDIA : OH_DEMUX_REPORT;
}
