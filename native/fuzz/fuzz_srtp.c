/*
 * fuzz_srtp.c - any bytes through SRTP and SRTCP of each suite, and a sealed packet that the input changes: what was not
 * sealed with the key is never taken, and what is taken is what was sealed.
 *
 * The first byte chooses the suite and whether keys have just changed; the next four and all behind them make the packet.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "oh_rtp.h"
#include "oh_srtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 1600, PAYLOAD = 40 };

static struct oh_srtp *open_with(enum oh_srtp_suite suite, uint8_t send, uint8_t receive)
{
	struct oh_srtp_keys keys = {.suite = suite};
	struct oh_srtp     *srtp;

	memset(keys.send, send, sizeof(keys.send));
	memset(keys.receive, receive, sizeof(keys.receive));
	if (oh_srtp_open(&srtp, &keys) < 0)
		abort();
	return srtp;
}

static void try_bytes(struct oh_srtp *srtp, const uint8_t *data, size_t size)
{
	alignas(8) uint8_t packet[LONGEST];
	size_t             len = size < LONGEST ? size : LONGEST;

	memcpy(packet, data, len);
	if (oh_srtp_unprotect(srtp, packet, len, 0) >= 0)
		abort();
	memcpy(packet, data, len);
	if (oh_srtp_unprotect_rtcp(srtp, packet, len, 0) >= 0)
		abort();
}

static void try_changed(struct oh_srtp *srtp, struct oh_srtp *far, const uint8_t *data, size_t size)
{
	struct oh_rtp      head = {.ssrc = 7, .seq = (uint16_t)(data[0] << 8 | data[1]), .timestamp = data[2]};
	alignas(8) uint8_t plain[OH_RTP_HEADER + PAYLOAD], packet[OH_RTP_HEADER + PAYLOAD + OH_SRTP_TRAILER];
	int                len, taken;
	bool               changed = false;

	(void)oh_rtp_build(plain, sizeof(plain), &head);
	memset(plain + OH_RTP_HEADER, data[3], PAYLOAD);
	memcpy(packet, plain, sizeof(plain));
	len = oh_srtp_protect(far, packet, sizeof(plain), sizeof(packet));
	if (len < 0)
		abort();
	for (data += 4, size -= 4; size >= 2; data += 2, size -= 2) {
		packet[data[0] % (size_t)len] ^= data[1];
		changed = changed || data[1] != 0;
	}
	taken = oh_srtp_unprotect(srtp, packet, (size_t)len, 0);
	if (!changed && taken < 0)
		abort();
	if (taken >= 0 && ((size_t)taken != sizeof(plain) || memcmp(packet, plain, sizeof(plain)) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum oh_srtp_suite suite;
	struct oh_srtp    *srtp, *far;

	if (size < 5)
		return 0;
	suite = (enum oh_srtp_suite)(1 + (data[0] & 3));
	srtp = open_with(suite, 1, 2);
	far = open_with(suite, 2, 1);
	if ((data[0] & 4) != 0) {
		struct oh_srtp *next = open_with((enum oh_srtp_suite)(1 + (data[0] >> 4 & 3)), 3, 4);

		(void)oh_srtp_follow(next, srtp, 0);
		srtp = next;
	}
	try_bytes(srtp, data + 1, size - 1);
	try_changed(srtp, far, data + 1, size - 1);
	oh_srtp_close(srtp);
	oh_srtp_close(far);
	return 0;
}
