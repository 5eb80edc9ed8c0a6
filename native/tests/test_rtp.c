/* test_rtp.c - RTP packets: what is parsed, what is refused, and numbers that wrap. */
#include <errno.h>

#include "check.h"
#include "oh_rtp.h"

/* The packet in a block of exactly its size, so that the sanitizer sees every read past it. */
static int parse(struct oh_rtp *out, const uint8_t *data, size_t len)
{
	static uint8_t *kept;

	free(kept);
	kept = malloc(len ? len : 1);
	CHECK(kept != NULL);
	memcpy(kept, data, len);
	return oh_rtp_parse(out, kept, len);
}

static void a_built_packet_parses_to_what_was_built(void)
{
	uint8_t       packet[OH_RTP_HEADER + 3] = { 0 };
	struct oh_rtp in = { .marker = true, .payload_type = 101, .seq = 65535, .timestamp = 0xfedcba98u, .ssrc = 7 };
	struct oh_rtp out;

	CHECK_INT(oh_rtp_build(packet, sizeof(packet), &in), 0);
	memcpy(packet + OH_RTP_HEADER, "abc", 3);
	CHECK_INT(parse(&out, packet, sizeof(packet)), 0);
	CHECK(out.marker);
	CHECK_INT(out.payload_type, 101);
	CHECK_INT(out.seq, 65535);
	CHECK_INT(out.timestamp, 0xfedcba98u);
	CHECK_INT(out.ssrc, 7);
	CHECK_INT(out.payload_len, 3);
	CHECK(memcmp(out.payload, "abc", 3) == 0);
	CHECK(out.extension == NULL);
}

static void building_refuses_a_small_buffer_and_an_impossible_payload_type(void)
{
	uint8_t       packet[OH_RTP_HEADER];
	struct oh_rtp head = { .payload_type = 127 };

	CHECK_INT(oh_rtp_build(packet, sizeof(packet) - 1, &head), -ENOBUFS);
	head.payload_type = 128;
	CHECK_INT(oh_rtp_build(packet, sizeof(packet), &head), -EINVAL);
}

/* Version 2, padding, extension, two CSRCs; payload "hi"; four bytes of padding. */
static const uint8_t everything[] = {
	0xb2, 0x00, 0x12, 0x34, 0, 0, 0, 160, 0, 0, 0, 9, /* header */
	0, 0, 0, 1, 0, 0, 0, 2,                           /* CSRCs */
	0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0,               /* extension of one word */
	'h', 'i', 0, 0, 0, 4,
};

static void padding_extension_and_csrcs_are_taken_off(void)
{
	struct oh_rtp out;

	CHECK_INT(parse(&out, everything, sizeof(everything)), 0);
	CHECK_INT(out.csrc_count, 2);
	CHECK_INT(out.extension_kind, 0xbede);
	CHECK_INT(out.extension_len, 4);
	CHECK_INT(out.extension[0], 0x10);
	CHECK_INT(out.payload_len, 2);
	CHECK(memcmp(out.payload, "hi", 2) == 0);
}

static void every_truncation_of_a_packet_with_everything_is_refused_or_stays_inside(void)
{
	for (size_t len = 0; len < sizeof(everything); len++) {
		struct oh_rtp out;
		int           error = parse(&out, everything, len);

		/* cut short, the last byte is read as a padding count: only a plausible one passes */
		if (error == 0)
			CHECK(out.payload_len + 28 < len);
		else
			CHECK_INT(error, -EBADMSG);
		if (len < 28)
			CHECK_INT(error, -EBADMSG);
	}
}

static void lengths_that_lie_are_refused(void)
{
	struct oh_rtp out;
	uint8_t       packet[sizeof(everything)];

	memcpy(packet, everything, sizeof(packet));
	packet[sizeof(packet) - 1] = 0; /* padding of none */
	CHECK_INT(parse(&out, packet, sizeof(packet)), -EBADMSG);
	packet[sizeof(packet) - 1] = 7; /* more padding than there is payload */
	CHECK_INT(parse(&out, packet, sizeof(packet)), -EBADMSG);
	packet[sizeof(packet) - 1] = 6; /* nothing but padding is legal */
	CHECK_INT(parse(&out, packet, sizeof(packet)), 0);
	CHECK_INT(out.payload_len, 0);
	packet[23] = 0xff; /* an extension of 255 words */
	CHECK_INT(parse(&out, packet, sizeof(packet)), -EBADMSG);
	memcpy(packet, everything, sizeof(packet));
	packet[0] = 0xbf; /* 15 CSRCs */
	CHECK_INT(parse(&out, packet, sizeof(packet)), -EBADMSG);
}

static void what_is_not_rtp_is_refused(void)
{
	struct oh_rtp out;
	uint8_t       packet[1501] = { 0x80 };

	CHECK_INT(parse(&out, packet, 12), 0);
	CHECK_INT(out.payload_len, 0);
	CHECK_INT(parse(&out, packet, 1500), 0);
	CHECK_INT(parse(&out, packet, 1501), -EBADMSG);
	packet[0] = 0x40; /* version 1 */
	CHECK_INT(parse(&out, packet, 12), -EBADMSG);
	packet[0] = 0x00; /* STUN looks like version 0 */
	CHECK_INT(parse(&out, packet, 20), -EBADMSG);
	packet[0] = 0x80;
	packet[1] = 200; /* RTCP's SR */
	CHECK_INT(parse(&out, packet, 28), -EPROTO);
}

static void sequence_numbers_and_timestamps_are_compared_across_the_wrap(void)
{
	CHECK_INT(oh_seq_diff(1, 0), 1);
	CHECK_INT(oh_seq_diff(0, 65535), 1);
	CHECK_INT(oh_seq_diff(65535, 0), -1);
	CHECK_INT(oh_seq_diff(32767, 0), 32767);
	CHECK_INT(oh_seq_diff(32768, 0), -32768);
	CHECK_INT(oh_ts_diff(159, 0xffffffffu), 160);
	CHECK_INT(oh_ts_diff(0xffffffffu, 159), -160);
}

int main(void)
{
	RUN(a_built_packet_parses_to_what_was_built);
	RUN(building_refuses_a_small_buffer_and_an_impossible_payload_type);
	RUN(padding_extension_and_csrcs_are_taken_off);
	RUN(every_truncation_of_a_packet_with_everything_is_refused_or_stays_inside);
	RUN(lengths_that_lie_are_refused);
	RUN(what_is_not_rtp_is_refused);
	RUN(sequence_numbers_and_timestamps_are_compared_across_the_wrap);
	return 0;
}
