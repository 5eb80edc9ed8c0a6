/* SRTP of one port: what is authentic, what is not, what is too old, and one set of keys after another. */
#include <errno.h>
#include <malloc.h>
#include <stdalign.h>

#include "check.h"
#include "oh_rtp.h"
#include "oh_srtp.h"

enum { PAYLOAD = 160, ROOM = 256, SSRC = 0x11223344, OTHER = 0x55667788 };

static const enum oh_srtp_suite suites[] = {OH_SRTP_AES_CM_128_HMAC_SHA1_80, OH_SRTP_AES_CM_128_HMAC_SHA1_32,
                                            OH_SRTP_AEAD_AES_128_GCM, OH_SRTP_AEAD_AES_256_GCM};
static const size_t rtp_tags[] = {10, 4, 16, 16};
static const int64_t ms = 1000000;

struct packet {
	alignas(8) uint8_t data[ROOM];
	size_t len;
};

static struct oh_srtp *ours, *theirs;
static int64_t         now;

static struct oh_srtp *open_with(enum oh_srtp_suite suite, uint8_t send, uint8_t receive)
{
	struct oh_srtp_keys keys = {.suite = suite};
	struct oh_srtp     *srtp = NULL;

	for (size_t i = 0; i < OH_SRTP_KEY_MAX; i++) {
		keys.send[i] = (uint8_t)(send + i * 7u);
		keys.receive[i] = (uint8_t)(receive + i * 7u);
	}
	CHECK_INT(oh_srtp_open(&srtp, &keys), 0);
	return srtp;
}

/* Two ends of one call: what they send is keyed with 1, what we send with 2. */
static void start(enum oh_srtp_suite suite)
{
	oh_srtp_close(ours);
	oh_srtp_close(theirs);
	ours = open_with(suite, 2, 1);
	theirs = open_with(suite, 1, 2);
	now = 1000000000000;
}

static struct packet rtp(uint32_t ssrc, uint16_t seq)
{
	struct packet packet;
	struct oh_rtp head = {.ssrc = ssrc, .seq = seq, .timestamp = seq * 160u};

	CHECK_INT(oh_rtp_build(packet.data, ROOM, &head), 0);
	for (size_t i = 0; i < PAYLOAD; i++)
		packet.data[OH_RTP_HEADER + i] = (uint8_t)(seq + i);
	packet.len = OH_RTP_HEADER + PAYLOAD;
	return packet;
}

/* What the far end has on the wire for it. */
static struct packet sealed(struct oh_srtp *by, uint32_t ssrc, uint16_t seq)
{
	struct packet packet = rtp(ssrc, seq);
	int           n = oh_srtp_protect(by, packet.data, packet.len, ROOM);

	CHECK(n > 0);
	packet.len = (size_t)n;
	return packet;
}

static int take(struct packet packet)
{
	return oh_srtp_unprotect(ours, packet.data, packet.len, now);
}

static void check_taken(struct packet packet, uint32_t ssrc, uint16_t seq)
{
	struct packet should = rtp(ssrc, seq);

	CHECK_INT(oh_srtp_unprotect(ours, packet.data, packet.len, now), should.len);
	CHECK(memcmp(packet.data, should.data, should.len) == 0);
}

static void what_is_protected_comes_out_again(void)
{
	for (size_t i = 0; i < 4; i++) {
		start(suites[i]);
		for (uint16_t seq = 100; seq < 200; seq++) {
			struct packet packet = sealed(theirs, SSRC, seq);
			struct packet plain = rtp(SSRC, seq);

			CHECK_INT(packet.len, plain.len + rtp_tags[i]);
			CHECK(memcmp(packet.data, plain.data, OH_RTP_HEADER) == 0);
			CHECK(memcmp(packet.data + OH_RTP_HEADER, plain.data + OH_RTP_HEADER, PAYLOAD) != 0);
			check_taken(packet, SSRC, seq);
		}
	}
}

/* The packet that libsrtp's own test vectors seal, with the master key and salt of RFC 3711 B.3. */
static void a_known_packet_is_sealed_as_others_seal_it(void)
{
	static const uint8_t should[] = {
		0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe, 0x4e, 0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78,
		0xd8, 0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d, 0x24, 0x02, 0xb7, 0x8d, 0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb,
	};
	static const uint8_t key[30] = {0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41,
	                                0x39, 0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6};
	struct oh_srtp_keys  keys = {.suite = OH_SRTP_AES_CM_128_HMAC_SHA1_80};
	struct oh_srtp      *srtp = NULL;
	alignas(8) uint8_t   data[64];

	memcpy(keys.send, key, sizeof(key));
	CHECK_INT(oh_srtp_open(&srtp, &keys), 0);
	memcpy(data, should, OH_RTP_HEADER);
	memset(data + OH_RTP_HEADER, 0xab, 16);
	CHECK_INT(oh_srtp_protect(srtp, data, 28, sizeof(data)), 38);
	CHECK(memcmp(data, should, sizeof(should)) == 0);
	oh_srtp_close(srtp);
}

static void any_byte_changed_is_not_authentic(void)
{
	for (size_t i = 0; i < 4; i++) {
		start(suites[i]);
		for (uint16_t seq = 1; seq < 1 + OH_RTP_HEADER + PAYLOAD + 4; seq++) {
			struct packet packet = sealed(theirs, SSRC, seq);
			struct packet broken = packet;
			size_t        at = (size_t)seq - 1u;

			broken.data[at] ^= at == 0 ? 0x20 : 0x01;
			CHECK_INT(take(broken), -EACCES);
			check_taken(packet, SSRC, seq);
		}
	}
}

static void what_is_plain_or_of_another_key_is_not_authentic(void)
{
	for (size_t i = 0; i < 4; i++) {
		struct oh_srtp *stranger;

		start(suites[i]);
		stranger = open_with(suites[i], 9, 9);
		for (uint16_t seq = 1; seq < 100; seq++) {
			CHECK_INT(take(rtp(SSRC, seq)), -EACCES);
			CHECK_INT(take(sealed(stranger, SSRC, seq)), -EACCES);
		}
		check_taken(sealed(theirs, SSRC, 1), SSRC, 1);
		for (uint16_t seq = 2; seq < 100; seq++)
			CHECK_INT(take(sealed(stranger, SSRC, (uint16_t)(seq + 200u))), -EACCES);
		check_taken(sealed(theirs, SSRC, 2), SSRC, 2);
		oh_srtp_close(stranger);
	}
}

static void what_is_too_short_is_bad(void)
{
	for (size_t i = 0; i < 4; i++) {
		struct packet packet;

		start(suites[i]);
		packet = sealed(theirs, SSRC, 1);
		for (size_t len = 0; len < OH_RTP_HEADER + rtp_tags[i]; len++) {
			packet.len = len;
			CHECK_INT(take(packet), -EBADMSG);
		}
		for (packet.len = OH_RTP_HEADER + rtp_tags[i]; packet.len < OH_RTP_HEADER + PAYLOAD + rtp_tags[i]; packet.len++)
			CHECK_INT(take(packet), -EACCES);
		packet = sealed(theirs, SSRC, 2);
		packet.data[0] |= 0x10; /* an extension, whose length lies */
		packet.data[OH_RTP_HEADER + 2] = packet.data[OH_RTP_HEADER + 3] = 0xff;
		CHECK_INT(take(packet), -EBADMSG);
	}
}

static void what_was_seen_is_not_taken_again_and_reordering_is(void)
{
	for (size_t i = 0; i < 4; i++) {
		struct packet packets[300];

		start(suites[i]);
		for (uint16_t n = 0; n < 300; n++)
			packets[n] = sealed(theirs, SSRC, (uint16_t)(1000u + n));
		for (uint16_t n = 0; n < 300; n += 2)
			check_taken(packets[n], SSRC, (uint16_t)(1000u + n));
		for (uint16_t n = 0; n < 300; n += 2)
			CHECK_INT(take(packets[n]), -EALREADY);
		for (uint16_t n = 45; n < 300; n += 2) /* 253 late and less */
			check_taken(packets[n], SSRC, (uint16_t)(1000u + n));
		CHECK_INT(take(packets[1]), -EALREADY); /* too old to tell */
	}
}

static void the_counter_rolls_over(void)
{
	for (size_t i = 0; i < 4; i++) {
		start(suites[i]);
		for (uint32_t n = 65000; n < 65536u * 2u + 100u; n++) {
			struct packet packet = sealed(theirs, SSRC, (uint16_t)n);

			if (n % 7u != 0) /* some are lost, just before the wrap too */
				check_taken(packet, SSRC, (uint16_t)n);
		}
	}
}

static void a_gap_of_many_packets_does_not_end_the_stream(void)
{
	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	check_taken(sealed(theirs, SSRC, 1), SSRC, 1);
	for (uint16_t seq = 2; seq < 30000; seq++)
		(void)sealed(theirs, SSRC, seq);
	check_taken(sealed(theirs, SSRC, 30000), SSRC, 30000);
}

static struct packet report(uint32_t ssrc)
{
	struct packet packet = {.len = 8, .data = {0x80, 201, 0, 1, (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16), (uint8_t)(ssrc >> 8), (uint8_t)ssrc}};

	return packet;
}

static void reports_are_protected_likewise(void)
{
	for (size_t i = 0; i < 4; i++) {
		struct packet first, packet;
		int           n;

		start(suites[i]);
		for (uint32_t turn = 0; turn < 300; turn++) {
			packet = report(SSRC);
			n = oh_srtp_protect_rtcp(theirs, packet.data, packet.len, ROOM);
			CHECK_INT(n, 8 + 4 + (i < 2 ? 10 : 16));
			packet.len = (size_t)n;
			if (turn == 0)
				first = packet;
			for (size_t at = 1; at < packet.len; at += 5) {
				struct packet broken = packet;

				broken.data[at] ^= 0x40;
				CHECK(oh_srtp_unprotect_rtcp(ours, broken.data, broken.len, now) < 0);
			}
			for (size_t len = 0; len < packet.len; len += turn == 0 ? 1 : 9) {
				struct packet broken = packet;

				CHECK(oh_srtp_unprotect_rtcp(ours, broken.data, len, now) < 0);
			}
			CHECK_INT(oh_srtp_unprotect_rtcp(ours, packet.data, packet.len, now), 8);
			CHECK(memcmp(packet.data, report(SSRC).data, 8) == 0);
		}
		CHECK_INT(oh_srtp_unprotect_rtcp(ours, first.data, first.len, now), -EALREADY);
		packet = report(SSRC);
		CHECK(oh_srtp_unprotect_rtcp(ours, packet.data, packet.len, now) < 0);
	}
}

static void there_must_be_room_for_the_tag(void)
{
	struct packet packet = rtp(SSRC, 1);

	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	CHECK_INT(oh_srtp_protect(ours, packet.data, packet.len, packet.len + OH_SRTP_TRAILER - 1u), -ENOBUFS);
	CHECK_INT(oh_srtp_protect_rtcp(ours, packet.data, packet.len, packet.len - 1u), -ENOBUFS);
}

static void an_unknown_suite_is_refused(void)
{
	struct oh_srtp_keys keys = {.suite = (enum oh_srtp_suite)0};
	struct oh_srtp     *srtp = NULL;

	CHECK_INT(oh_srtp_open(&srtp, &keys), -EINVAL);
	keys.suite = (enum oh_srtp_suite)5;
	CHECK_INT(oh_srtp_open(&srtp, &keys), -EINVAL);
	CHECK(srtp == NULL);
}

/* --- memory */

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

/* Bytes allocated. */
static size_t in_use(void)
{
#ifdef __SANITIZE_ADDRESS__
	return __sanitizer_get_current_allocated_bytes();
#else
	return mallinfo2().uordblks;
#endif
}

static void no_packet_that_is_not_authentic_allocates(void)
{
	struct oh_srtp *stranger;
	size_t          before;

	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	stranger = open_with(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 9, 9);
	(void)sealed(stranger, 1, 1);
	check_taken(sealed(theirs, SSRC, 1), SSRC, 1);
	before = in_use();
	for (uint32_t ssrc = 1; ssrc < 20000; ssrc++) {
		struct packet packet = rtp(ssrc, 1);

		packet.len += 10;
		CHECK_INT(take(packet), -EACCES);
	}
	CHECK_INT(in_use(), before);
	oh_srtp_close(stranger);
}

static void an_authentic_sender_of_many_streams_costs_what_a_few_do(void)
{
	size_t after_some = 0;

	start(OH_SRTP_AEAD_AES_128_GCM);
	for (uint32_t ssrc = 1; ssrc < 5000; ssrc++) {
		struct oh_srtp *sender = open_with(OH_SRTP_AEAD_AES_128_GCM, 1, 2); /* one a stream: only we are to be measured */

		check_taken(sealed(sender, ssrc, 7), ssrc, 7);
		oh_srtp_close(sender);
		if (ssrc == 100)
			after_some = in_use();
	}
	CHECK_BELOW(in_use(), after_some + 4096u);
	check_taken(sealed(theirs, 4999, 8), 4999, 8); /* and the newest is known still */
}

/* --- new keys */

static void follow(enum oh_srtp_suite suite, uint8_t send, uint8_t receive, bool resent)
{
	struct oh_srtp *next = open_with(suite, send, receive);

	CHECK_INT(oh_srtp_follow(next, ours, now), resent);
	ours = next;
}

static void the_same_keys_again_change_nothing(void)
{
	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	for (uint32_t n = 60000; n < 70000; n++) { /* both roll over */
		struct packet packet = sealed(ours, OTHER, (uint16_t)n);

		check_taken(sealed(theirs, SSRC, (uint16_t)n), SSRC, (uint16_t)n);
		CHECK(oh_srtp_unprotect(theirs, packet.data, packet.len, now) > 0);
		if (n == 69998)
			follow(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 2, 1, false);
	}
}

static void what_is_on_its_way_with_the_key_before_is_taken(void)
{
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < 4; j++) {
			struct oh_srtp *next;
			uint16_t        seq = 500;

			start(suites[i]);
			for (; seq < 520; seq++)
				check_taken(sealed(theirs, SSRC, seq), SSRC, seq);
			follow(suites[j], 4, 3, true);
			next = open_with(suites[j], 3, 4);
			now += 20000 * ms; /* the answer was lost a few times on its way */
			for (; seq < 530; seq++)
				check_taken(sealed(theirs, SSRC, seq), SSRC, seq);
			for (; seq < 560; seq = (uint16_t)(seq + 2u)) { /* every other of the rest is late */
				uint16_t      after = (uint16_t)(seq + 1u);
				struct packet late = sealed(theirs, SSRC, seq);

				check_taken(sealed(next, SSRC, after), SSRC, after);
				now += 30 * ms;
				check_taken(late, SSRC, seq);
			}
			now += OH_SRTP_OLD_NS;
			CHECK_INT(take(sealed(theirs, SSRC, seq)), -EACCES);
			oh_srtp_tick(ours, now);
			CHECK_INT(take(sealed(theirs, SSRC, (uint16_t)(seq + 1u))), -EACCES);
			check_taken(sealed(next, SSRC, seq), SSRC, seq);
			oh_srtp_close(next);
		}
	}
}

static void a_key_that_is_never_followed_is_not_taken_for_ever(void)
{
	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	check_taken(sealed(theirs, SSRC, 1), SSRC, 1);
	follow(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 4, 3, true);
	now += OH_SRTP_WAIT_NS - 1;
	check_taken(sealed(theirs, SSRC, 2), SSRC, 2);
	now += 1;
	CHECK_INT(take(sealed(theirs, SSRC, 3)), -EACCES);
}

static void one_direction_may_change_alone(void)
{
	struct oh_srtp *next;

	start(OH_SRTP_AES_CM_128_HMAC_SHA1_80);
	for (uint32_t n = 60000; n < 70000; n++) {
		struct packet packet = sealed(ours, OTHER, (uint16_t)n);

		CHECK(oh_srtp_unprotect(theirs, packet.data, packet.len, now) > 0);
	}
	follow(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 2, 3, false); /* the far end's is another one, ours is not */
	next = open_with(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 3, 2);
	check_taken(sealed(next, SSRC, 9), SSRC, 9);
	{
		struct packet packet = sealed(ours, OTHER, 4464);

		CHECK(oh_srtp_unprotect(theirs, packet.data, packet.len, now) > 0); /* the counter went on */
	}
	follow(OH_SRTP_AES_CM_128_HMAC_SHA1_80, 6, 3, true);
	check_taken(sealed(next, SSRC, 10), SSRC, 10);
	oh_srtp_close(next);
}

/* A sender that has wrapped `rounds` times, whose next packet is `seq`. */
static struct oh_srtp *rolled(enum oh_srtp_suite suite, uint8_t key, uint32_t rounds, uint16_t seq)
{
	struct oh_srtp *sender = open_with(suite, key, 99);

	for (uint32_t n = 0; n < rounds * 65536u + seq; n += 16384)
		(void)sealed(sender, SSRC, (uint16_t)n);
	return sender;
}

static void a_counter_is_understood_that_is_kept_and_one_that_begins_again(void)
{
	static const struct {
		uint16_t at, next; /* last number with the key before, first one with the new key */
		uint32_t rounds;   /* before `at` */
		bool     wraps;
	} turns[] = {{30000, 30001, 2, false}, {65530, 3, 1, true}, {65530, 3, 0, true}, {5, 65533, 3, false}, {40000, 40001, 0, false}};

	for (size_t i = 0; i < 4; i++) {
		for (size_t t = 0; t < sizeof(turns) / sizeof(turns[0]); t++) {
			for (int kept = 0; kept < 2; kept++) {
				uint32_t        rounds = turns[t].rounds + turns[t].wraps - (turns[t].at == 5);
				struct oh_srtp *sender;
				uint16_t        seq = turns[t].next;

				start(suites[i]);
				for (uint32_t n = 0; n < turns[t].rounds * 65536u + turns[t].at; n += 16384)
					(void)take(sealed(theirs, SSRC, (uint16_t)n));
				check_taken(sealed(theirs, SSRC, turns[t].at), SSRC, turns[t].at);
				follow(suites[i], 4, 3, true);
				sender = rolled(suites[i], 3, kept ? rounds : 0, kept && rounds > 0 ? seq : 0);
				for (uint32_t n = 0; n < 70000; n++, seq++) {
					struct packet packet = sealed(sender, SSRC, seq);

					if (n < 100 || n % 1000 < 10 || (seq < 20 || seq > 65500))
						check_taken(packet, SSRC, seq);
					now += ms;
				}
				oh_srtp_tick(ours, now);
				check_taken(sealed(sender, SSRC, seq), SSRC, seq);
				oh_srtp_close(sender);
			}
		}
	}
}

int main(void)
{
	RUN(what_is_protected_comes_out_again);
	RUN(a_known_packet_is_sealed_as_others_seal_it);
	RUN(any_byte_changed_is_not_authentic);
	RUN(what_is_plain_or_of_another_key_is_not_authentic);
	RUN(what_is_too_short_is_bad);
	RUN(what_was_seen_is_not_taken_again_and_reordering_is);
	RUN(the_counter_rolls_over);
	RUN(a_gap_of_many_packets_does_not_end_the_stream);
	RUN(reports_are_protected_likewise);
	RUN(there_must_be_room_for_the_tag);
	RUN(an_unknown_suite_is_refused);
	RUN(no_packet_that_is_not_authentic_allocates);
	RUN(an_authentic_sender_of_many_streams_costs_what_a_few_do);
	RUN(the_same_keys_again_change_nothing);
	RUN(what_is_on_its_way_with_the_key_before_is_taken);
	RUN(a_key_that_is_never_followed_is_not_taken_for_ever);
	RUN(one_direction_may_change_alone);
	RUN(a_counter_is_understood_that_is_kept_and_one_that_begins_again);
	oh_srtp_close(ours);
	oh_srtp_close(theirs);
	return 0;
}
