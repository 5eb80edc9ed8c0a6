/* test_digits.c - telephone keys in RTP: one report a press, whatever the network does; and packets by the book. */
#include <errno.h>

#include "check.h"
#include "oh_digits.h"

#define MS 1000000ll

static struct oh_digits_in in;
static struct oh_digit     got[16];
static int                 got_count;
static uint32_t            rate_hz = 8000;

static void start(void)
{
	oh_digits_in_init(&in, rate_hz);
	got_count = 0;
}

static void hear(int event, int end, unsigned duration, uint32_t timestamp, int64_t now_ns)
{
	uint8_t payload[4] = { (uint8_t)event, (uint8_t)(end ? 0x8a : 0x0a), (uint8_t)(duration >> 8), (uint8_t)duration };
	int     n = oh_digits_receive(&in, payload, 4, timestamp, now_ns, got + got_count);

	CHECK(n >= 0 && n <= 2);
	got_count += n;
	CHECK(got_count <= 14);
}

static void wait_until(int64_t now_ns)
{
	got_count += oh_digits_in_tick(&in, now_ns, got + got_count);
}

static void a_press_with_three_ends_is_reported_once(void)
{
	start();
	for (unsigned i = 1; i <= 4; i++)
		hear(5, 0, 160 * i, 1000, 20 * MS * i);
	for (unsigned i = 5; i <= 7; i++)
		hear(5, 1, 800, 1000, 20 * MS * i);
	wait_until(10000 * MS);
	CHECK_INT(got_count, 1);
	CHECK_INT(got[0].key, '5');
	CHECK_INT(got[0].duration_ms, 100);
	CHECK_INT(got[0].timestamp, 1000);
}

static void any_packet_alone_is_enough(void)
{
	for (unsigned kept = 1; kept <= 7; kept++) {
		start();
		hear(11, kept >= 5, kept < 5 ? 160 * kept : 800, 1000, 20 * MS * kept);
		wait_until(20 * MS * kept + OH_DIGITS_PATIENCE_NS - 1);
		CHECK_INT(got_count, kept >= 5);
		wait_until(20 * MS * kept + OH_DIGITS_PATIENCE_NS);
		wait_until(20 * MS * kept + 3 * OH_DIGITS_PATIENCE_NS);
		CHECK_INT(got_count, 1);
		CHECK_INT(got[0].key, '#');
	}
}

static void the_same_key_twice_is_two_presses(void)
{
	start();
	hear(1, 1, 800, 1000, 100 * MS);
	hear(1, 1, 800, 2000, 200 * MS);
	CHECK_INT(got_count, 2);
}

static void a_press_without_an_end_is_over_when_the_next_begins(void)
{
	start();
	hear(1, 0, 320, 1000, 40 * MS);
	hear(2, 0, 160, 2000, 160 * MS);
	CHECK_INT(got_count, 1);
	CHECK_INT(got[0].key, '1');
	CHECK_INT(got[0].duration_ms, 40);
	hear(3, 1, 800, 3000, 300 * MS); /* only the end of the third comes: two are over at once */
	CHECK_INT(got_count, 3);
	CHECK_INT(got[1].key, '2');
	CHECK_INT(got[2].key, '3');
}

static void old_packets_out_of_order_report_nothing_again(void)
{
	start();
	hear(1, 1, 800, 1000, 100 * MS);
	hear(2, 0, 160, 2000, 120 * MS);
	hear(1, 1, 800, 1000, 130 * MS);
	hear(1, 0, 640, 1000, 130 * MS);
	hear(2, 1, 800, 2000, 200 * MS);
	hear(2, 0, 320, 2000, 210 * MS); /* an update after the end */
	wait_until(5000 * MS);
	CHECK_INT(got_count, 2);
	CHECK_INT(got[1].key, '2');
}

static void a_lost_end_and_a_late_one_are_still_one_press(void)
{
	start();
	hear(7, 0, 160, 1000, 0);
	wait_until(OH_DIGITS_PATIENCE_NS);
	CHECK_INT(got_count, 1);
	hear(7, 1, 800, 1000, OH_DIGITS_PATIENCE_NS + MS);
	CHECK_INT(got_count, 1);
}

static void a_key_held_for_ten_seconds_is_one_press(void)
{
	uint32_t at = 0xffff8000u; /* and the timestamp wraps meanwhile */

	start();
	for (unsigned i = 1; i <= 409; i++)
		hear(0, 0, 160 * i, at, 20 * MS * i);
	hear(0, 0, 0xffff, at, 8200 * MS);
	for (unsigned i = 1; i <= 90; i++)
		hear(0, 0, 160 * i, at + 0xffff, 8200 * MS + 20 * MS * i);
	hear(0, 1, 14465, at + 0xffff, 10020 * MS);
	wait_until(20000 * MS);
	CHECK_INT(got_count, 1);
	CHECK_INT(got[0].key, '0');
	CHECK_INT(got[0].duration_ms, 10000);
	CHECK_INT(got[0].timestamp, at);
}

static void presses_across_the_wrap_of_the_timestamp_are_told_apart(void)
{
	start();
	hear(1, 1, 800, 0xffffff00u, 0);
	hear(2, 1, 800, 0x00000400u, 200 * MS);
	CHECK_INT(got_count, 2);
}

static void every_event_has_its_key_and_others_are_ignored(void)
{
	start();
	for (int event = 0; event < 256; event++) {
		uint8_t         payload[4] = { (uint8_t)event, 0x80, 0, 160 };
		struct oh_digit out[2];
		int n = oh_digits_receive(&in, payload, 4, (uint32_t)event * 1000u + 1u, 0, out);

		CHECK_INT(n, event < 16);
		if (n)
			CHECK_INT(out[0].key, "0123456789*#ABCD"[event]);
	}
}

static void a_short_payload_is_refused_and_a_long_one_read(void)
{
	uint8_t         payload[8] = { 1, 0x80, 0, 160, 2, 0x80, 0, 160 };
	struct oh_digit out[2];

	start();
	for (size_t len = 0; len < 4; len++)
		CHECK_INT(oh_digits_receive(&in, payload, len, 0, 0, out), -EBADMSG);
	CHECK_INT(oh_digits_receive(&in, payload, 8, 0, 0, out), 1);
}

static void one_key_is_sent_by_the_book(void)
{
	struct oh_digits_out    out;
	struct oh_digits_packet packet;
	static const unsigned   durations[] = { 160, 320, 480, 640, 800, 800, 800 };

	oh_digits_out_init(&out);
	CHECK(!oh_digits_out_busy(&out));
	CHECK_INT(oh_digits_out_tick(&out, 0, 160, 8000, &packet), 0);
	CHECK_INT(oh_digits_out_queue(&out, "*", 100, 60), 0);
	for (unsigned i = 0; i < 7; i++) {
		CHECK(oh_digits_out_busy(&out));
		CHECK_INT(oh_digits_out_tick(&out, 5000 + 160 * i, 160, 8000, &packet), 1);
		CHECK_INT(packet.timestamp, 5000);
		CHECK_INT(packet.marker, i == 0);
		CHECK_INT(packet.payload[0], 10);
		CHECK_INT(packet.payload[1] >> 7, i >= 4);
		CHECK_INT(packet.payload[1] & 0x40, 0);
		CHECK_INT(packet.payload[2] << 8 | packet.payload[3], durations[i]);
	}
	while (oh_digits_out_busy(&out))
		CHECK_INT(oh_digits_out_tick(&out, 9000, 160, 8000, &packet), 0);
}

/* Send a string, hear it, at a packet time, losing every `lose`th packet (0: none). */
static void there_and_back(const char *keys, unsigned press_ms, unsigned gap_ms, uint32_t samples, unsigned lose)
{
	struct oh_digits_out out;
	uint32_t             now = 0xfffff000u;
	unsigned             sent = 0, ticks = 0;

	start();
	oh_digits_out_init(&out);
	CHECK_INT(oh_digits_out_queue(&out, keys, press_ms, gap_ms), 0);
	for (; oh_digits_out_busy(&out); now += samples * (rate_hz / 8000), ticks++) {
		struct oh_digits_packet packet;
		int64_t                 now_ns = (int64_t)ticks * samples * 125000;

		CHECK(ticks < 100000);
		if (oh_digits_out_tick(&out, now, samples, rate_hz, &packet) && (lose == 0 || ++sent % lose != 0)) {
			int n = oh_digits_receive(&in, packet.payload, 4, packet.timestamp, now_ns, got + got_count);

			CHECK(n >= 0);
			got_count += n;
		}
		wait_until(now_ns);
	}
	wait_until(INT64_MAX);
	CHECK_INT(got_count, strlen(keys));
	for (int i = 0; i < got_count; i++) {
		CHECK_INT(got[i].key, keys[i]);
		CHECK(got[i].duration_ms <= press_ms);
		if (lose == 0)
			CHECK_INT(got[i].duration_ms, press_ms);
	}
}

static void what_is_sent_is_heard_at_any_packet_time_and_under_loss(void)
{
	static const uint32_t packet_samples[] = { 80, 160, 240, 320, 480 };

	for (size_t i = 0; i < 10; i++) {
		rate_hz = i < 5 ? 8000 : 48000; /* beside Opus a duration says 1.3 s at most: longer presses have segments */
		there_and_back("1234#", 100, 60, packet_samples[i % 5], 0);
		there_and_back("00*D", 40, 40, packet_samples[i % 5], 0);
		there_and_back("7788", 100, 60, packet_samples[i % 5], 2);
		there_and_back("7788", 100, 60, packet_samples[i % 5], 3);
		there_and_back("5", 8000, 40, packet_samples[i % 5], 0);
		there_and_back("55", 3000, 40, packet_samples[i % 5], 0);
	}
	rate_hz = 8000;
}

static void keys_may_be_added_while_others_are_sent(void)
{
	struct oh_digits_out    out;
	struct oh_digits_packet packet;
	char                    seen[8] = "";
	uint32_t                now = 0;

	oh_digits_out_init(&out);
	CHECK_INT(oh_digits_out_queue(&out, "12", 60, 40), 0);
	for (int tick = 0; oh_digits_out_busy(&out); tick++, now += 160) {
		if (tick == 8)
			CHECK_INT(oh_digits_out_queue(&out, "3a", 60, 40), 0);
		if (oh_digits_out_tick(&out, now, 160, 8000, &packet) && packet.marker)
			strncat(seen, &"0123456789*#ABCD"[packet.payload[0]], 1);
	}
	CHECK(strcmp(seen, "123A") == 0);
}

static void what_cannot_be_sent_is_refused(void)
{
	struct oh_digits_out out;
	char                 many[OH_DIGITS_MAX + 2];

	oh_digits_out_init(&out);
	CHECK_INT(oh_digits_out_queue(&out, "", 100, 60), -EINVAL);
	CHECK_INT(oh_digits_out_queue(&out, "12x", 100, 60), -EINVAL);
	CHECK_INT(oh_digits_out_queue(&out, "1", 39, 60), -EINVAL);
	CHECK_INT(oh_digits_out_queue(&out, "1", 8001, 60), -EINVAL);
	CHECK_INT(oh_digits_out_queue(&out, "1", 100, 0), -EINVAL);
	memset(many, '1', sizeof(many) - 1);
	many[OH_DIGITS_MAX + 1] = 0;
	CHECK_INT(oh_digits_out_queue(&out, many, 100, 60), -ENOSPC);
	CHECK(!oh_digits_out_busy(&out));
	many[OH_DIGITS_MAX] = 0;
	CHECK_INT(oh_digits_out_queue(&out, many, 100, 60), 0);
	CHECK_INT(oh_digits_out_queue(&out, "1", 100, 60), -ENOSPC);
}

int main(void)
{
	RUN(a_press_with_three_ends_is_reported_once);
	RUN(any_packet_alone_is_enough);
	RUN(the_same_key_twice_is_two_presses);
	RUN(a_press_without_an_end_is_over_when_the_next_begins);
	RUN(old_packets_out_of_order_report_nothing_again);
	RUN(a_lost_end_and_a_late_one_are_still_one_press);
	RUN(a_key_held_for_ten_seconds_is_one_press);
	RUN(presses_across_the_wrap_of_the_timestamp_are_told_apart);
	RUN(every_event_has_its_key_and_others_are_ignored);
	RUN(a_short_payload_is_refused_and_a_long_one_read);
	RUN(one_key_is_sent_by_the_book);
	RUN(what_is_sent_is_heard_at_any_packet_time_and_under_loss);
	RUN(keys_may_be_added_while_others_are_sent);
	RUN(what_cannot_be_sent_is_refused);
	return 0;
}
