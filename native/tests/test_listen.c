/* test_listen.c - the listening path's buffer under every kind of network, with the time in the test's hand. */
#include <errno.h>

#include "check.h"
#include "oh_g711.h"
#include "oh_listen.h"

#define MS 1000000ll

/*
 * The caller speaks noise whose every sample follows from its place, so that a frame shows whether it is the right one.
 * The ear below keeps every frame's place, kind and time, and holds the stream to its promises.
 */
static struct oh_listen listen;
static int64_t          now;            /* the time of the call under way */
static int64_t          next_at;        /* where the stream must go on */
static uint32_t         next_ts;
static int64_t          live, late;     /* samples by the reader's stream, and late ones */
static int64_t          by_kind[6];
static int64_t          heard_at_ns[4000]; /* when packet i's first sample came out as HEARD, 0: not */
static int64_t          last_live_ns;
static int              restarts, frames;
static int              check_pcm;      /* compare HEARD samples with what was said */
static uint32_t         ts_zero;        /* timestamp of packet 0 */
static int64_t          since_gap;      /* heard samples since the last made-up one */

static uint8_t said(uint32_t timestamp)
{
	uint32_t x = timestamp * 2654435761u;

	return (uint8_t)(x >> 24 | 0x40); /* a quieter half of the codes */
}

static void ear(void *arg, const struct oh_listen_frame *frame)
{
	CHECK(arg == &listen);
	CHECK(frame->n > 0 && frame->n <= OH_LISTEN_MAX_SAMPLES);
	frames++;
	by_kind[frame->kind] += (int64_t)frame->n;
	if (frame->restarted) {
		restarts++;
		since_gap = 0; /* its beginning may be cross-faded */
	}
	if (frame->kind == OH_LATE) {
		CHECK(frame->at + (int64_t)frame->n <= next_at);
		late += (int64_t)frame->n;
	} else {
		CHECK_INT(frame->at, next_at); /* every sample once, in order */
		if (!frame->restarted && frames > 1)
			CHECK_INT(frame->timestamp, next_ts);
		next_at = frame->at + (int64_t)frame->n;
		next_ts = frame->timestamp + (uint32_t)frame->n;
	}
	if (oh_listen_live(frame->kind)) {
		live += (int64_t)frame->n;
		last_live_ns = now;
	}
	if (frame->kind != OH_HEARD && frame->kind != OH_LATE) {
		since_gap = 0;
		return;
	}
	uint32_t index = (frame->timestamp - ts_zero) / 160;

	if (frame->kind == OH_HEARD && index < 4000)
		heard_at_ns[index] = now;
	for (size_t i = 0; check_pcm && i < frame->n; i++) {
		if (frame->kind == OH_HEARD && since_gap++ < 80)
			continue; /* cross-faded with what was made up before */
		CHECK_INT(frame->pcm[i], oh_ulaw_to_linear(said(frame->timestamp + (uint32_t)i)));
	}
}

static void start(uint32_t first_ts)
{
	oh_listen_init(&listen, ear, &listen, 1);
	now = 1000000 * MS;
	next_at = live = late = 0;
	next_ts = ts_zero = first_ts;
	memset(by_kind, 0, sizeof(by_kind));
	memset(heard_at_ns, 0, sizeof(heard_at_ns));
	restarts = frames = 0;
	check_pcm = 1;
	since_gap = 80;
}

static int put(uint16_t seq, uint32_t timestamp, size_t len)
{
	uint8_t                 payload[OH_LISTEN_MAX_SAMPLES + 1];
	struct oh_listen_packet packet = { payload, len, OH_CARRIES_AUDIO, 7, timestamp, seq };

	for (size_t i = 0; i < len; i++)
		payload[i] = said(timestamp + (uint32_t)i);
	return oh_listen_put(&listen, &packet, now);
}

static int put_other(uint16_t seq, uint32_t timestamp, enum oh_listen_content content, uint8_t level)
{
	struct oh_listen_packet packet = { &level, 1, content, 7, timestamp, seq };

	return oh_listen_put(&listen, &packet, now);
}

/* Packet i of a 20 ms stream. */
static int packet(unsigned i)
{
	return put((uint16_t)(65500 + i), ts_zero + 160 * i, 160);
}

/* Let time pass, ticking every 20 ms. */
static void pass(int64_t ns)
{
	for (int64_t end = now + ns; now < end;) {
		int64_t step = end - now < 20 * MS ? end - now : 20 * MS;

		now += step;
		oh_listen_tick(&listen, now);
	}
}

static void talk(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		CHECK_INT(packet(i), 0);
		pass(20 * MS);
	}
}

static void packets_in_order_come_out_at_once_and_unchanged(void)
{
	start(0xffffff00u); /* timestamp and sequence number wrap on the way */
	for (unsigned i = 0; i < 100; i++) {
		CHECK_INT(packet(i), 0);
		CHECK_INT(heard_at_ns[i], now);
		pass(20 * MS);
	}
	CHECK_INT(by_kind[OH_HEARD], 16000);
	CHECK_INT(live, 16000);
	CHECK_INT(listen.counters.received, 100);
	CHECK_INT(listen.counters.heard_samples, 16000);
	CHECK_INT(restarts, 0);
}

static void a_reordered_packet_is_put_right_and_nothing_is_made_up(void)
{
	start(0);
	talk(0, 10);
	CHECK_INT(packet(11), 0);
	CHECK_INT(heard_at_ns[11], 0);
	now += 15 * MS;
	CHECK_INT(packet(10), 0);
	CHECK_INT(heard_at_ns[10], now);
	CHECK_INT(heard_at_ns[11], now);
	CHECK_INT(by_kind[OH_HEARD], 12 * 160);
	CHECK_INT(listen.counters.reordered, 1);
	CHECK_INT(listen.counters.lost, 0);
}

static void a_lost_packet_is_concealed_after_a_wait_of_at_most_forty_milliseconds(void)
{
	start(0);
	talk(0, 10);
	pass(20 * MS); /* packet 10 does not come */
	CHECK_INT(packet(11), 0);
	int64_t came = now;

	while (heard_at_ns[11] == 0 && now < came + 100 * MS) {
		now += MS;
		oh_listen_tick(&listen, now);
	}
	CHECK(heard_at_ns[11] > 0 && heard_at_ns[11] - came <= OH_LISTEN_WAIT_NS);
	CHECK_INT(by_kind[OH_CONCEALED], 160);
	CHECK_INT(by_kind[OH_HEARD], 11 * 160);
	CHECK_INT(listen.counters.lost, 1);
	CHECK_INT(listen.counters.concealed_samples, 160);
}

static void the_due_time_is_when_something_happens(void)
{
	start(0);
	CHECK(oh_listen_due_ns(&listen) == INT64_MAX);
	talk(0, 10);
	pass(20 * MS);
	CHECK_INT(packet(11), 0);
	int64_t due = oh_listen_due_ns(&listen), came = now;

	CHECK(due > now && due <= now + OH_LISTEN_WAIT_NS);
	oh_listen_tick(&listen, now = due - 1);
	CHECK_INT(heard_at_ns[11], 0);
	oh_listen_tick(&listen, now = due);
	CHECK_INT(heard_at_ns[11], due);
	CHECK_INT(listen.counters.waited_ns, due - came); /* of eleven packets this one alone waited */
}

static void a_late_packet_comes_out_for_the_recording_only(void)
{
	start(0);
	talk(0, 10);
	pass(20 * MS);
	talk(11, 20);
	CHECK_INT(by_kind[OH_CONCEALED], 160);
	CHECK_INT(packet(10), 0);
	CHECK_INT(late, 160);
	CHECK_INT(live, 20 * 160);
	CHECK_INT(listen.counters.late, 1);
	CHECK_INT(listen.counters.lost, 0); /* counted back */
	CHECK_INT(packet(10), -EALREADY);
	CHECK_INT(late, 160);
}

static void duplicates_are_dropped_wherever_they_come(void)
{
	start(0);
	for (unsigned i = 0; i < 50; i++) {
		CHECK_INT(packet(i), 0);
		CHECK_INT(packet(i), -EALREADY);
		if (i >= 5)
			CHECK_INT(packet(i - 5), -EALREADY);
		pass(20 * MS);
	}
	CHECK_INT(live, 50 * 160);
	CHECK_INT(listen.counters.duplicate, 95);
	CHECK_INT(packet(51), 0); /* one that waits */
	CHECK_INT(packet(51), -EALREADY);
}

static void when_nothing_comes_the_clock_goes_on_first_with_voice_then_as_missing(void)
{
	start(0);
	talk(0, 10);
	pass(1000 * MS);

	/* 1,020 ms since packet 9 came, which holds 20: the stream is at most 60 ms behind, and never ahead */
	int64_t made = live - 1600;

	CHECK(made >= (1000 - 60) * 8 && made <= 1000 * 8);
	CHECK_INT(by_kind[OH_CONCEALED], 480);
	CHECK_INT(by_kind[OH_MISSING], made - 480);
	CHECK_INT(listen.counters.missing_samples, made - 480);
	CHECK_INT(listen.counters.lost, 0); /* nobody knows yet */
}

static void missing_frames_come_evenly_one_each_twenty_milliseconds(void)
{
	start(0);
	talk(0, 10);
	pass(200 * MS);
	for (int i = 0; i < 500; i++) {
		int64_t before = live;

		pass(20 * MS);
		CHECK_INT(live - before, 160);
	}
}

static void after_a_stall_the_stream_rejoins_without_delay(void)
{
	start(0);
	talk(0, 50);
	pass(300 * MS); /* packets 50 .. 64 are held up somewhere, then all come at once */
	for (unsigned i = 50; i < 66; i++)
		CHECK_INT(packet(i), 0);
	CHECK(by_kind[OH_LATE] > 0);
	CHECK_INT(heard_at_ns[65], now);
	pass(20 * MS);
	for (unsigned i = 66; i < 300; i++) {
		CHECK_INT(packet(i), 0);
		CHECK_INT(heard_at_ns[i], now); /* no delay */
		pass(20 * MS);
	}
	CHECK_INT(live, 300 * 160); /* and nothing piled up */
	CHECK_INT(by_kind[OH_SKIPPED], 0);
	CHECK_INT(listen.counters.lost, 0);
	CHECK_INT(restarts, 0);
}

static void after_a_pause_that_the_sender_did_not_count_little_is_lost(void)
{
	start(0);
	talk(0, 50);
	pass(3000 * MS); /* a sender that has nothing to say stops its clock as well */
	for (unsigned i = 50; i < 100; i++) {
		CHECK_INT(packet(i), 0);
		pass(20 * MS);
	}
	CHECK(by_kind[OH_LATE] <= 4 * 160);
	CHECK(by_kind[OH_HEARD] >= 96 * 160);
	CHECK_INT(restarts, 1);
	CHECK_INT(listen.counters.lost, 0);
}

static void after_packets_were_lost_for_a_second_the_stream_rejoins_without_delay(void)
{
	start(0);
	talk(0, 50);
	pass(1000 * MS);
	for (unsigned i = 100; i < 200; i++) {
		CHECK_INT(packet(i), 0);
		pass(20 * MS);
		CHECK(heard_at_ns[i] > 0);
	}
	CHECK_INT(live, 200 * 160);
	CHECK_INT(listen.counters.lost, 50);
	CHECK_INT(by_kind[OH_HEARD], 150 * 160);
}

static void a_path_that_grew_longer_is_followed(void)
{
	start(0);
	talk(0, 50);
	pass(120 * MS); /* from now on everything takes 120 ms more */
	for (unsigned i = 50; i < 150; i++) {
		CHECK_INT(packet(i), 0);
		if (i > 60)
			CHECK_INT(heard_at_ns[i], now);
		pass(20 * MS);
	}
	CHECK_INT(live, 150 * 160);
	CHECK(by_kind[OH_LATE] <= 6 * 160);
}

static void one_packet_from_long_ago_does_not_stop_the_clock(void)
{
	start(0);
	talk(0, 50);
	pass(60000 * MS);
	CHECK_INT(packet(50), 0);
	CHECK_INT(late, 160);
	int64_t before = live;

	pass(1000 * MS);
	CHECK(live - before >= 3000);
	before = live;
	pass(1000 * MS);
	CHECK_INT(live - before, 8000);
}

static void a_path_that_grew_longer_by_seconds_restarts_the_stream_soon(void)
{
	start(0);
	talk(0, 50);
	pass(5000 * MS);
	int64_t back = now, first = 0;

	for (unsigned i = 50; i < 150; i++) {
		CHECK_INT(packet(i), 0);
		if (!first && heard_at_ns[i])
			first = now;
		pass(20 * MS);
	}
	CHECK(first > 0 && first - back < 700 * MS);
	CHECK_INT(restarts, 1);
}

static void other_packet_times_are_taken(void)
{
	static const size_t lengths[] = { 1, 40, 80, 160, 240, 320, 480, 960, 33 };

	for (size_t k = 0; k < 9; k++) {
		uint32_t ts = 5;

		start(ts);
		for (unsigned i = 0; i < 100; i++, ts += (uint32_t)lengths[k]) {
			CHECK_INT(put((uint16_t)i, ts, lengths[k]), 0);
			CHECK_INT(live, (i + 1) * lengths[k]);
			pass((int64_t)lengths[k] * 125000);
		}
		CHECK_INT(by_kind[OH_HEARD], live);
	}
}

static void a_change_of_packet_time_on_the_way_loses_nothing(void)
{
	uint32_t ts = 0;
	uint32_t state = 3;

	start(0);
	for (unsigned i = 0; i < 200; i++) {
		size_t len = i == 0 ? 480 : 80 * (1 + noise(&state) % 6);

		pass((int64_t)len * 125000); /* a packet leaves when its last sample was said */
		CHECK_INT(put((uint16_t)i, ts, len), 0);
		ts += (uint32_t)len;
	}
	CHECK_INT(by_kind[OH_HEARD], ts);
	CHECK_INT(live, ts);
}

static void empty_and_monstrous_packets_are_refused(void)
{
	start(0);
	CHECK_INT(put(1, 0, 0), -EINVAL);
	CHECK_INT(put(1, 0, OH_LISTEN_MAX_SAMPLES + 1), -EINVAL);
	CHECK_INT(listen.counters.bad, 2);
	CHECK_INT(frames, 0);
	CHECK_INT(put(1, 0, 160), 0);
}

static void comfort_noise_fills_the_senders_silence_at_its_level(void)
{
	start(0);
	talk(0, 10);
	CHECK_INT(put_other(65510 & 0xffff, 1600, OH_CARRIES_COMFORT, 50), 0);
	pass(2000 * MS);
	CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING], 0);
	CHECK(by_kind[OH_COMFORT] >= (2000 - 60) * 8 && by_kind[OH_COMFORT] <= 2000 * 8);

	/* speech goes on where the clock says: its first packet is whole */
	CHECK_INT(put((uint16_t)65511, 1600 + 16000, 160), 0);
	CHECK_INT(heard_at_ns[110], now);
	CHECK_INT(by_kind[OH_HEARD], 11 * 160);
	CHECK_INT(live, 1600 + 16000 + 160);
	CHECK_INT(listen.counters.lost, 0);
}

static void comfort_noise_does_not_vouch_for_a_sender_that_is_gone(void)
{
	start(0);
	talk(0, 10);
	CHECK_INT(put_other(65510 & 0xffff, 1600, OH_CARRIES_COMFORT, 60), 0);
	pass(12000 * MS);
	CHECK_INT(by_kind[OH_COMFORT], 80000);
	CHECK(by_kind[OH_MISSING] > 12000);
}

static void a_silence_without_comfort_noise_packets_counts_as_no_loss(void)
{
	start(0);
	talk(0, 10);
	pass(500 * MS); /* the sender just stops, and goes on with the next sequence number and a later timestamp */
	CHECK_INT(put((uint16_t)65510, 1600 + 4000, 160), 0);
	CHECK_INT(heard_at_ns[35], now);
	CHECK_INT(listen.counters.lost, 0);
	CHECK_INT(live, 1600 + 4000 + 160);
	CHECK(by_kind[OH_COMFORT] > 0); /* what was left to fill when it went on */
}

static void digits_in_place_of_audio_are_neither_loss_nor_voice(void)
{
	start(0);
	talk(0, 10);
	for (unsigned i = 0; i < 7; i++) { /* a press of 140 ms under one timestamp */
		CHECK_INT(put_other((uint16_t)(65510 + i), 1600, OH_CARRIES_OTHER, 0), 0);
		pass(20 * MS);
	}
	for (unsigned i = 17; i < 30; i++) {
		CHECK_INT(packet(i), 0);
		CHECK_INT(heard_at_ns[i], now);
		pass(20 * MS);
	}
	CHECK_INT(listen.counters.lost, 0);
	CHECK_INT(by_kind[OH_COMFORT], 7 * 160);
	CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING], 0);
}

static void a_lost_packet_among_digits_does_not_hold_up_what_follows(void)
{
	start(0);
	talk(0, 10);
	pass(20 * MS); /* packet 10 is lost */
	CHECK_INT(put_other((uint16_t)65511, 1760, OH_CARRIES_OTHER, 0), 0);
	pass(20 * MS);
	talk(12, 20);
	CHECK_INT(listen.counters.lost, 1);
	CHECK(heard_at_ns[19] > 0);
	CHECK_INT(listen.waiting, 0);
}

static void a_new_ssrc_restarts_the_stream_at_once(void)
{
	uint8_t                 payload[160] = { 0 };
	struct oh_listen_packet other = { payload, 160, OH_CARRIES_AUDIO, 8, 0x80000000u, 12 };

	start(0);
	talk(0, 10);
	check_pcm = 0;
	CHECK_INT(oh_listen_put(&listen, &other, now), 0);
	CHECK_INT(restarts, 1);
	CHECK_INT(by_kind[OH_HEARD], 11 * 160);
	CHECK_INT(listen.counters.restarts, 1);
	other.seq++;
	other.timestamp += 160;
	pass(20 * MS);
	CHECK_INT(oh_listen_put(&listen, &other, now), 0);
	CHECK_INT(live, 12 * 160);
}

static void a_late_packet_right_after_a_restart_does_not_hide_it(void)
{
	start(0);
	talk(0, 10);
	ts_zero = 1440 + 0x70000000u;
	CHECK_INT(put_other((uint16_t)65510, ts_zero, OH_CARRIES_COMFORT, 60), 0); /* restarts, and gives no sound yet */
	CHECK_INT(put((uint16_t)65509, ts_zero - 160, 160), 0);
	CHECK_INT(late, 160);
	CHECK_INT(restarts, 0);
	pass(100 * MS);
	CHECK_INT(restarts, 1);
}

static void a_lone_stray_packet_is_not_believed(void)
{
	start(0);
	for (unsigned i = 0; i < 200; i++) {
		CHECK_INT(packet(i), 0);
		if (i % 3 == 0) /* garbage between good packets, even in sequence among itself */
			CHECK_INT(put((uint16_t)(30000 + i / 3), 77777777 + 160 * i, 160), -EPROTO);
		pass(20 * MS);
	}
	CHECK_INT(restarts, 0);
	CHECK_INT(by_kind[OH_HEARD], 200 * 160);
	CHECK_INT(listen.counters.bad, 67);
}

static void a_jump_of_both_is_believed_when_a_second_packet_follows(void)
{
	start(0);
	talk(0, 10);
	ts_zero = 0x70000000u;
	CHECK_INT(put(30000, 0x70000000u, 160), -EPROTO);
	pass(20 * MS);
	CHECK_INT(put(30001, 0x700000a0u, 160), 0);
	CHECK_INT(heard_at_ns[1], now);
	CHECK_INT(restarts, 1);
}

static void a_timestamp_that_jumps_in_sequence_restarts_at_once(void)
{
	static const uint32_t jumps[] = { 0x70000000u, 0x90000000u, 20000, (uint32_t)-20000, (uint32_t)-160 };

	for (size_t k = 0; k < 5; k++) {
		start(0);
		talk(0, 10);
		ts_zero = 1440 + jumps[k];
		CHECK_INT(put((uint16_t)65510, ts_zero, 160), 0);
		CHECK_INT(heard_at_ns[0], now);
		CHECK_INT(restarts, 1);
		CHECK_INT(live, 1760); /* no flood of made-up samples */
	}
}

static void a_replay_of_an_older_stretch_changes_nothing(void)
{
	start(0);
	for (unsigned i = 0; i < 600; i++) {
		CHECK_INT(packet(i), 0);
		if (i >= 300)
			CHECK(packet(i - 300) < 0);
		if (i >= 60)
			CHECK(packet(i - 60) < 0);
		pass(20 * MS);
	}
	CHECK_INT(live, 600 * 160);
	CHECK_INT(by_kind[OH_HEARD], 600 * 160);
}

static void more_packets_than_can_wait_end_the_wait(void)
{
	start(0);
	talk(0, 10);
	for (unsigned i = 11; i < 80; i++) /* one missing, and a burst behind it within no time */
		CHECK_INT(packet(i), 0);
	CHECK_INT(heard_at_ns[79], now);
	CHECK_INT(by_kind[OH_CONCEALED], 160);
	CHECK_INT(listen.waiting, 0);
}

static void a_pause_between_ticks_makes_up_at_most_a_second(void)
{
	start(0);
	talk(0, 10);
	now += 60000 * MS;
	oh_listen_tick(&listen, now);
	CHECK(live - 1600 <= 8000 + 160);
	int64_t before = live;

	pass(1000 * MS);
	CHECK_INT(live - before, 8000);
}

static void a_pause_with_packets_waiting_makes_up_at_most_a_second_too(void)
{
	start(0);
	talk(0, 10);
	CHECK_INT(packet(11), 0); /* waits for 10 */
	now += 3600000 * MS;
	oh_listen_tick(&listen, now);
	CHECK(live - 1600 <= 2 * 160 + 8000 + 160);
}

/* Whoever reads 20 ms every 20 ms by our clock from a sender whose clock is off by so much for ten minutes. */
static int64_t backlog_after_skew(int ppm)
{
	int64_t begun, tick;

	start(0);
	check_pcm = 0; /* the line is quiet between words */
	begun = tick = now;
	for (unsigned i = 0; i < 30000; i++) {
		uint8_t                 payload[160];
		struct oh_listen_packet sent = { payload, 160, OH_CARRIES_AUDIO, 7, 160 * i, (uint16_t)i };
		int64_t                 arrives = begun + 20 * MS * i - (int64_t)i * 20 * ppm;

		while (tick + 20 * MS <= arrives) {
			tick += 20 * MS;
			oh_listen_tick(&listen, now = tick);
		}
		memset(payload, i % 100 < 70 ? 0x20 : 0xfe, sizeof(payload)); /* 1.4 s of speech, 0.6 of quiet */
		CHECK_INT(oh_listen_put(&listen, &sent, now = arrives), 0);
	}
	return live - (now - begun) / 125000;
}

static void a_sender_with_a_fast_clock_does_not_pile_up_delay(void)
{
	CHECK(backlog_after_skew(500) < 200 * 8); /* 300 ms ahead, were nothing done */
	CHECK(by_kind[OH_SKIPPED] > 0);
	CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING], 0);
	CHECK_INT(listen.counters.skipped_samples, by_kind[OH_SKIPPED]);
}

static void a_sender_with_a_slow_clock_has_nothing_made_up_or_skipped(void)
{
	backlog_after_skew(-500);
	CHECK_INT(by_kind[OH_HEARD], 30000 * 160);
	CHECK_INT(live, 30000 * 160);
}

static void a_burst_at_the_start_is_worked_off_in_the_first_quiet(void)
{
	int64_t begun;

	start(0);
	check_pcm = 0;
	begun = now;
	for (unsigned i = 0; i < 500; i++) { /* the first 25 packets were held up and come together */
		uint8_t                 payload[160];
		struct oh_listen_packet sent = { payload, 160, OH_CARRIES_AUDIO, 7, 160 * i, (uint16_t)i };

		memset(payload, i % 100 < 70 ? 0x20 : 0xfe, sizeof(payload));
		CHECK_INT(oh_listen_put(&listen, &sent, now), 0);
		if (i >= 24)
			pass(20 * MS);
	}
	CHECK(live - (now - begun) / 125000 <= 120 * 8);
	CHECK(by_kind[OH_SKIPPED] >= 300 * 8);
}

static void any_network_keeps_the_promises(void)
{
	uint32_t state = 12345;

	for (int round = 0; round < 300; round++) {
		unsigned loss = noise(&state) % 40, jitter = noise(&state) % 120, twice = noise(&state) % 20;
		struct {
			int64_t  at;
			unsigned i;
		} flying[64];
		unsigned count = 0, i = 0;
		int64_t  begun, tick;

		start(noise(&state));
		begun = tick = now;
		while (i < 300 || count > 0) {
			/* send, with its delay, what is due by the sender's clock */
			while (i < 300 && count < 60 && begun + 20 * MS * i <= now) {
				int64_t base = begun + 20 * MS * i;

				if (noise(&state) % 100 >= loss)
					flying[count++].at = base + (int64_t)(noise(&state) % (jitter + 1)) * MS,
					flying[count - 1].i = i;
				if (noise(&state) % 100 < twice)
					flying[count++].at = base + (int64_t)(noise(&state) % 300) * MS,
					flying[count - 1].i = i;
				i++;
			}
			now += MS;
			for (unsigned k = 0; k < count;) {
				if (flying[k].at > now) {
					k++;
					continue;
				}
				int error = packet(flying[k].i);

				CHECK(error == 0 || error == -EALREADY || error == -EPROTO);
				flying[k] = flying[--count];
			}
			if (now - tick >= 20 * MS)
				oh_listen_tick(&listen, tick = now);
			/* the stream is never more than the wait, the slowness of late, the jitter, a tick and a frame behind the clock */
			if (next_at > 0 && i < 300)
				CHECK((now - last_live_ns) <= OH_LISTEN_WAIT_NS + OH_LISTEN_SLOW_NS + (int64_t)(20 + 20 + 2 + 2 * jitter) * MS);
			CHECK(next_at <= (now - begun) / 125000 + 160 + 300 * 8);
		}
		const struct oh_listen_counters *is = &listen.counters;

		CHECK_INT(is->heard_samples, by_kind[OH_HEARD]);
		CHECK_INT(is->concealed_samples, by_kind[OH_CONCEALED]);
		CHECK_INT(is->missing_samples, by_kind[OH_MISSING]);
		CHECK_INT(is->comfort_samples, by_kind[OH_COMFORT]);
		CHECK(by_kind[OH_HEARD] + by_kind[OH_LATE] + by_kind[OH_SKIPPED] <= 300 * 160);
	}
}

int main(void)
{
	RUN(packets_in_order_come_out_at_once_and_unchanged);
	RUN(a_reordered_packet_is_put_right_and_nothing_is_made_up);
	RUN(a_lost_packet_is_concealed_after_a_wait_of_at_most_forty_milliseconds);
	RUN(the_due_time_is_when_something_happens);
	RUN(a_late_packet_comes_out_for_the_recording_only);
	RUN(duplicates_are_dropped_wherever_they_come);
	RUN(when_nothing_comes_the_clock_goes_on_first_with_voice_then_as_missing);
	RUN(missing_frames_come_evenly_one_each_twenty_milliseconds);
	RUN(after_a_stall_the_stream_rejoins_without_delay);
	RUN(after_a_pause_that_the_sender_did_not_count_little_is_lost);
	RUN(after_packets_were_lost_for_a_second_the_stream_rejoins_without_delay);
	RUN(a_path_that_grew_longer_is_followed);
	RUN(one_packet_from_long_ago_does_not_stop_the_clock);
	RUN(a_path_that_grew_longer_by_seconds_restarts_the_stream_soon);
	RUN(other_packet_times_are_taken);
	RUN(a_change_of_packet_time_on_the_way_loses_nothing);
	RUN(empty_and_monstrous_packets_are_refused);
	RUN(comfort_noise_fills_the_senders_silence_at_its_level);
	RUN(comfort_noise_does_not_vouch_for_a_sender_that_is_gone);
	RUN(a_silence_without_comfort_noise_packets_counts_as_no_loss);
	RUN(digits_in_place_of_audio_are_neither_loss_nor_voice);
	RUN(a_lost_packet_among_digits_does_not_hold_up_what_follows);
	RUN(a_new_ssrc_restarts_the_stream_at_once);
	RUN(a_late_packet_right_after_a_restart_does_not_hide_it);
	RUN(a_lone_stray_packet_is_not_believed);
	RUN(a_jump_of_both_is_believed_when_a_second_packet_follows);
	RUN(a_timestamp_that_jumps_in_sequence_restarts_at_once);
	RUN(a_replay_of_an_older_stretch_changes_nothing);
	RUN(more_packets_than_can_wait_end_the_wait);
	RUN(a_pause_between_ticks_makes_up_at_most_a_second);
	RUN(a_pause_with_packets_waiting_makes_up_at_most_a_second_too);
	RUN(a_sender_with_a_fast_clock_does_not_pile_up_delay);
	RUN(a_sender_with_a_slow_clock_has_nothing_made_up_or_skipped);
	RUN(a_burst_at_the_start_is_worked_off_in_the_first_quiet);
	RUN(any_network_keeps_the_promises);
	return 0;
}
