/* fuzz_rtp.c - any bytes through the RTP parser; what it accepts must lie inside the packet and be the same when rebuilt. */
#include <stdlib.h>

#include "oh_rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oh_rtp rtp, again;
	uint8_t       head[OH_RTP_HEADER];

	if (oh_rtp_parse(&rtp, data, size) != 0)
		return 0;
	if (rtp.payload < data || rtp.payload + rtp.payload_len > data + size)
		abort();
	if (rtp.extension && (rtp.extension < data || rtp.extension + rtp.extension_len > rtp.payload))
		abort();

	volatile uint8_t sum = 0;

	for (size_t i = 0; i < rtp.payload_len; i++)
		sum = (uint8_t)(sum + rtp.payload[i]);
	if (oh_rtp_build(head, sizeof(head), &rtp) != 0 || oh_rtp_parse(&again, head, sizeof(head)) != 0)
		abort();
	if (again.seq != rtp.seq || again.timestamp != rtp.timestamp || again.ssrc != rtp.ssrc ||
	    again.marker != rtp.marker || again.payload_type != rtp.payload_type)
		abort();
	return 0;
}
