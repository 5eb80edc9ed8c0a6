/*
 * srtp_speed.c - what SRTP costs: nanoseconds to protect and to unprotect a packet of 160 bytes, for each suite.
 *
 *   srtp_speed [PACKETS]      prints a line a suite; see loadtest/README.md
 */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oh_rtp.h"
#include "oh_srtp.h"

enum { BATCH = 1000, LEN = 172, ROOM = 256 };

static alignas(64) uint8_t packets[BATCH][ROOM];

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void measure(const char *name, enum oh_srtp_suite suite, uint32_t count)
{
	struct oh_srtp_keys keys = {.suite = suite};
	struct oh_srtp     *srtp;
	int64_t             spent[2] = {0, 0}, at[3];
	struct oh_rtp       head = {.ssrc = 1};

	if (oh_srtp_open(&srtp, &keys) < 0) /* both keys alike: it hears itself */
		abort();
	for (uint32_t n = 0; n < count; n += BATCH) {
		int len[BATCH];

		for (size_t i = 0; i < BATCH; i++, head.seq++)
			(void)oh_rtp_build(packets[i], ROOM, &head);
		at[0] = now_ns();
		for (size_t i = 0; i < BATCH; i++)
			len[i] = oh_srtp_protect(srtp, packets[i], LEN, ROOM);
		at[1] = now_ns();
		for (size_t i = 0; i < BATCH; i++)
			len[i] = oh_srtp_unprotect(srtp, packets[i], (size_t)len[i], 0);
		at[2] = now_ns();
		for (size_t i = 0; i < BATCH; i++) {
			if (len[i] != LEN)
				abort();
		}
		spent[0] += at[1] - at[0];
		spent[1] += at[2] - at[1];
	}
	printf("%-24s protect %5lld ns  unprotect %5lld ns\n", name, (long long)spent[0] / count,
	       (long long)spent[1] / count);
	oh_srtp_close(srtp);
}

int main(int argc, char **argv)
{
	uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) / BATCH * BATCH : 1000000u;

	if (count == 0)
		return 2;
	measure("AES_CM_128_HMAC_SHA1_80", OH_SRTP_AES_CM_128_HMAC_SHA1_80, count);
	measure("AES_CM_128_HMAC_SHA1_32", OH_SRTP_AES_CM_128_HMAC_SHA1_32, count);
	measure("AEAD_AES_128_GCM", OH_SRTP_AEAD_AES_128_GCM, count);
	measure("AEAD_AES_256_GCM", OH_SRTP_AEAD_AES_256_GCM, count);
	return 0;
}
