/*
 * fuzz_demux.c - any datagrams, from anywhere, at any time, through the demultiplexer of an ICE port. Media and DTLS come
 * from the selected address or not at all, and what is handed up stays within its bounds.
 */
#include <stdlib.h>

#include "oh_demux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each step: who sends or is selected, how much time passes, then a datagram of up to seven bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oh_demux demux;
	int64_t         now_ns = 1000000000, begun_ns = now_ns;
	int64_t         up[3] = {0, 0, 0}; /* of strangers, STUN of the selected, their DTLS */
	bool            selected;
	uint32_t        before_ip = 0;
	uint16_t        before_port = 0;
	int64_t         selected_ns = 0;

	oh_demux_init(&demux);
	while (size >= 2) {
		uint32_t              ip = data[0] & 3u;
		uint16_t              port = (uint16_t)(data[0] >> 2 & 3u);
		size_t                len = data[0] >> 4 & 7u;
		enum oh_demux_kind    kind;
		enum oh_demux_verdict verdict;

		now_ns += (int64_t)data[1] * 100000;
		if (data[0] >> 7) { /* the ICE agent speaks */
			before_ip = port == 0 ? 0 : demux.ip;
			before_port = port == 0 ? 0 : demux.port;
			selected_ns = now_ns;
			oh_demux_select(&demux, ip, port, now_ns);
		}
		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		kind = oh_demux_kind(data, len);
		verdict = oh_demux_judge(&demux, ip, port, data, len, now_ns);
		switch (verdict) {
		case OH_DEMUX_HAND_UP:
			if (kind != OH_DEMUX_STUN && kind != OH_DEMUX_DTLS)
				abort();
			selected = port != 0 && ip == demux.ip && port == demux.port;
			if (++up[selected && kind == OH_DEMUX_DTLS ? 2 : selected] > OH_DEMUX_BURST + (now_ns - begun_ns) / OH_DEMUX_LEAST_NS)
				abort();
			if (kind == OH_DEMUX_DTLS && demux.port != 0 && !selected)
				abort();
			break;
		case OH_DEMUX_MEDIA:
		case OH_DEMUX_REPORT:
			if ((verdict == OH_DEMUX_MEDIA) != (kind == OH_DEMUX_RTP) || port == 0)
				abort();
			if ((ip != demux.ip || port != demux.port) &&
			    (ip != before_ip || port != before_port || now_ns - selected_ns >= OH_DEMUX_BEFORE_NS))
				abort();
			break;
		case OH_DEMUX_WRONG_SOURCE:
			if (kind == OH_DEMUX_STUN || (kind == OH_DEMUX_DTLS && demux.port == 0) || (port != 0 && ip == demux.ip && port == demux.port))
				abort();
			break;
		case OH_DEMUX_TOO_MANY:
			if (kind != OH_DEMUX_STUN && kind != OH_DEMUX_DTLS)
				abort();
			break;
		case OH_DEMUX_BAD:
			if (kind != OH_DEMUX_OTHER)
				abort();
			break;
		}
		data += len;
		size -= len;
	}
	return 0;
}
