/* test_playout.c - the bridge path's buffer against networks made here: each test is one promise of its header. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "oh_g711.h"
#include "oh_playout.h"

#define MS 1000000ll

enum { PACKET = 160, PULL = 160, MOST_PACKETS = 40000, FIRST_MS = 1000 };

/* What happens to the packets of a call, and what came out of it. */
struct call {
	struct oh_playout *playout;
	int64_t            arrives_ns[MOST_PACKETS]; /* of each packet; below 0: lost */
	bool               again[MOST_PACKETS];      /* comes twice */
	int                packets;
	uint16_t           first_seq;
	uint32_t           first_ts;
	size_t             pull;                     /* samples */
	int64_t            pull_at_ns;               /* of the first pull */
	int                sent;                     /* cursor over packets in order of arrival */
	int                order[MOST_PACKETS + MOST_PACKETS];
	int                orders;
	int64_t            now_ns;                   /* of the next pull */
	double             delay_ms;                 /* mean of what the last pull gave */
	size_t             out;                      /* samples so far */
	int16_t            pcm[MOST_PACKETS * PACKET];
};

static struct call call;
static int16_t     voice[MOST_PACKETS * PACKET]; /* what is said: words of a quarter second with pauses */

static void speak(void)
{
	uint32_t state = 3;
	double   phase = 0;

	for (int i = 0; i < MOST_PACKETS * PACKET; i++) {
		double t = i / 8000.0, hz = 130 + 30 * sin(2 * M_PI * 0.7 * t);
		double word = fmod(t, 0.4) < 0.25 ? sin(M_PI * fmod(t, 0.4) / 0.25) : 0;

		phase += 2 * M_PI * hz / 8000;
		voice[i] = (int16_t)(word * (6000 * sin(phase) + 3000 * sin(2 * phase + 1) + 1500 * sin(3 * phase + 2)) +
		                     (double)(noise(&state) % 32) - 16);
	}
}

/* A call of so many packets over a network that takes 30 ms, pulled `offset_ms` after what comes is due. */
static void dial(int packets, int64_t offset_ms)
{
	CHECK(packets <= MOST_PACKETS);
	memset(&call, 0, sizeof(call));
	CHECK_INT(oh_playout_open(&call.playout, OH_CODEC_ULAW, 1), 0);
	call.packets = packets;
	call.first_seq = 100;
	call.first_ts = 5000;
	call.pull = PULL;
	call.pull_at_ns = FIRST_MS * MS + offset_ms * MS - 10 * 20 * MS;
	for (int i = 0; i < packets; i++)
		call.arrives_ns[i] = FIRST_MS * MS + i * 20 * MS;
}

static int by_arrival(const void *a, const void *b)
{
	const int *x = a, *y = b;

	if (call.arrives_ns[*x] != call.arrives_ns[*y])
		return call.arrives_ns[*x] < call.arrives_ns[*y] ? -1 : 1;
	return *x - *y;
}

static void put(int i)
{
	uint8_t                  payload[PACKET];
	struct oh_playout_packet packet = {
		payload, PACKET, call.first_ts + (uint32_t)i * PACKET, (uint16_t)(call.first_seq + i), false,
	};

	oh_g711_encode(OH_ULAW, voice + i * PACKET, payload, PACKET);
	CHECK_INT(oh_playout_put(call.playout, &packet, call.arrives_ns[i]), 0);
}

static const struct oh_playout_counters *count(void)
{
	return oh_playout_counters(call.playout);
}

/* One pull, with what arrived before it. */
static void pull(void)
{
	struct oh_playout_counters before = *count();

	if (call.orders == 0) {
		for (int i = 0; i < call.packets; i++)
			for (int copies = call.arrives_ns[i] < 0 ? 0 : call.again[i] ? 2 : 1; copies > 0; copies--)
				call.order[call.orders++] = i;
		qsort(call.order, (size_t)call.orders, sizeof(*call.order), by_arrival);
		call.now_ns = call.pull_at_ns;
	}
	while (call.sent < call.orders && call.arrives_ns[call.order[call.sent]] <= call.now_ns)
		put(call.order[call.sent++]);
	CHECK(call.out + call.pull <= MOST_PACKETS * PACKET);
	oh_playout_get(call.playout, call.pcm + call.out, call.pull, call.now_ns);
	call.out += call.pull;
	call.now_ns += (int64_t)call.pull * 125000;
	CHECK_INT(count()->played_samples, call.out);
	if (count()->heard_samples > before.heard_samples)
		call.delay_ms = (double)(count()->delay_us - before.delay_us) /
		                (double)(count()->heard_samples - before.heard_samples) / 1000;
}

static void pull_until(int packet)
{
	do
		pull();
	while (call.now_ns < FIRST_MS * MS + packet * 20 * MS);
}

static void hang_up(void)
{
	const struct oh_playout_counters *c = count();

	CHECK_INT(c->heard_samples + c->concealed_samples + c->comfort_samples + c->inserted_samples, c->played_samples);
	oh_playout_close(call.playout);
}

static double mean_delay_ms(void)
{
	return (double)count()->delay_us / (double)count()->heard_samples / 1000;
}

/* Jitter of no more than so many ms, and mostly far less. */
static void jitter(double most_ms)
{
	uint32_t state = 7;

	for (int i = 0; i < call.packets; i++) {
		double unit = (double)(noise(&state) % 10000) / 10000;

		call.arrives_ns[i] += (int64_t)(pow(unit, 4) * most_ms * (double)MS);
	}
}

/* ---- promises ---- */

static void on_a_still_network_each_sample_comes_out_as_it_went_in_and_soon(void)
{
	for (int64_t offset_ms = 3; offset_ms < 20; offset_ms += 4) {
		static int16_t heard[MOST_PACKETS * PACKET];
		uint8_t        coded[PACKET];
		size_t         begin = 0;

		dial(250, offset_ms);
		pull_until(249);
		for (int i = 0; i < 250; i++) {
			oh_g711_encode(OH_ULAW, voice + i * PACKET, coded, PACKET);
			oh_g711_decode(OH_ULAW, coded, heard + i * PACKET, PACKET);
		}
		begin = count()->comfort_samples;
		CHECK(memcmp(call.pcm + begin + 40, heard + 40, (call.out - begin - 40) * sizeof(*heard)) == 0);
		CHECK_INT(count()->concealed_samples + count()->inserted_samples + count()->removed_samples, 0);
		CHECK_INT((int64_t)(mean_delay_ms() + 0.5), offset_ms);
		hang_up();
	}
}

static void after_a_spike_of_300_ms_delay_is_back_within_two_seconds(void)
{
	for (int first = 300; first < 320; first += 3) {
		double base_ms;
		int    back = 0;

		dial(800, 8);
		jitter(4);
		for (int i = 0; i < 15; i++)
			call.arrives_ns[first + i] = FIRST_MS * MS + (first + 15) * 20 * MS;
		pull_until(first - 1);
		base_ms = call.delay_ms;
		CHECK_BELOW(base_ms, 30);
		pull_until(first + 15);
		for (pull_until(first + 16); call.delay_ms > base_ms + 10; back++) {
			CHECK_BELOW(back, 100); /* pulls of 20 ms */
			pull();
		}
		CHECK_INT(count()->late + count()->lost + count()->discarded, 0);
		for (int i = 0; i < 100; i++)
			pull();
		CHECK_BELOW(call.delay_ms, base_ms + 10); /* and stays there */
		hang_up();
	}
}

static void a_lost_packet_is_made_up_for_exactly_and_leaves_no_delay(void)
{
	for (int gap = 1; gap <= 4; gap++) {
		double before_ms;
		int    lost = 0;

		dial(1000, 6);
		for (int i = 200; i < 900; i += 37)
			for (int j = 0; j < gap; j++, lost++)
				call.arrives_ns[i + j] = -1;
		pull_until(190);
		before_ms = call.delay_ms;
		pull_until(990);
		CHECK_INT(count()->lost, lost);
		CHECK_INT(count()->concealed_samples, lost * PACKET);
		CHECK_INT(count()->inserted_samples + count()->removed_samples, 0);
		CHECK_BELOW(fabs(call.delay_ms - before_ms), 0.01);
		hang_up();
	}
}

static void a_clock_that_runs_off_by_100_ppm_changes_the_delay_by_nothing(void)
{
	for (int ppm = -100; ppm <= 100; ppm += 200) {
		dial(30000, 9); /* ten minutes: 60 ms of drift */
		jitter(3);
		for (int i = 0; i < call.packets; i++)
			call.arrives_ns[i] += (int64_t)i * 20 * ppm * 1000 / 1000;
		for (int minute = 0; minute < 9; minute++) {
			pull_until(3000 * (minute + 1));
			CHECK_BELOW(call.delay_ms, 45);
		}
		CHECK_BELOW(mean_delay_ms(), 30);
		CHECK_BELOW((double)count()->concealed_samples / (double)count()->played_samples, 0.002);
		CHECK_INT(count()->lost + count()->late + count()->discarded, 0);
		hang_up();
	}
}

static void packets_out_of_order_and_twice_are_put_right(void)
{
	dial(2000, 5);
	jitter(2);
	for (int i = 3; i < 1990; i += 5) {
		call.arrives_ns[i] += 24 * MS; /* behind the next */
		call.again[i + 1] = true;
	}
	pull_until(400); /* time to learn that */

	uint64_t concealed = count()->concealed_samples;

	pull_until(1995);
	CHECK_BELOW(count()->reordered, 500);
	CHECK(count()->reordered > 300);
	CHECK(count()->duplicate > 390);
	CHECK_INT(count()->concealed_samples - concealed, 0);
	CHECK_BELOW(count()->late, 8);
	CHECK_BELOW(mean_delay_ms(), 60);
	hang_up();
}

static void a_packet_that_was_overtaken_and_given_up_is_late_and_not_heard(void)
{
	dial(600, 5);
	call.arrives_ns[400] += 150 * MS;
	pull_until(500);
	CHECK_INT(count()->late, 1);
	CHECK_INT(count()->lost, 0);
	CHECK_INT(count()->concealed_samples, PACKET);
	CHECK_INT(count()->heard_samples + PACKET, count()->played_samples - count()->comfort_samples);
	hang_up();
}

static void a_packet_that_others_overtake_is_waited_for_where_it_may_come(void)
{
	dial(1000, 5);
	jitter(12);
	for (int i = 300; i < 900; i += 60)
		call.arrives_ns[i] += 55 * MS; /* behind the next two */
	pull_until(990);
	CHECK_INT(count()->late + count()->lost, 0);
	CHECK_BELOW(mean_delay_ms(), 40);
	hang_up();
}

static void what_is_waited_for_in_vain_costs_its_delay_for_a_third_of_a_second(void)
{
	double before_ms;

	dial(1000, 5);
	jitter(12);
	call.arrives_ns[400] = -1;
	pull_until(395);
	before_ms = call.delay_ms;
	pull_until(406);
	CHECK(call.delay_ms > before_ms + 10);
	pull_until(405 + 17); /* what was due then, and 17 packets */
	CHECK_BELOW(call.delay_ms, before_ms + 10);
	CHECK_INT(count()->lost, 1);
	hang_up();
}

static void pulls_of_any_length_play_the_same(void)
{
	static const size_t lengths[] = { 80, 160, 240, 480, 960 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		dial(600, 5);
		jitter(5);
		call.pull = lengths[i];
		pull_until(590);
		CHECK_BELOW(mean_delay_ms(), 40 + (double)lengths[i] / 8);
		CHECK_BELOW(count()->concealed_samples, 8 * lengths[i] + 800);
		CHECK_INT(count()->late + count()->lost, 0);
		hang_up();
	}
}

static void the_sound_of_one_moment_may_be_asked_for_in_pieces(void)
{
	int16_t whole[200 * PULL], pieces[200 * PULL];
	double  delay_ms[2];

	for (int two = 0; two < 2; two++) {
		int16_t *out = two ? pieces : whole;

		dial(220, 0);
		for (int i = 0; i < 200; i++) {
			int64_t now_ns = FIRST_MS * MS + i * 20 * MS + 7 * MS;

			put(i);
			oh_playout_get(call.playout, out + i * PULL, two ? PULL / 2 : PULL, now_ns);
			if (two)
				oh_playout_get(call.playout, out + i * PULL + PULL / 2, PULL / 2, now_ns);
		}
		delay_ms[two] = mean_delay_ms();
		CHECK_INT(count()->concealed_samples, 0);
		hang_up();
	}
	CHECK(memcmp(whole, pieces, sizeof(whole)) == 0);
	CHECK_INT((int64_t)delay_ms[0], 7);
	CHECK_INT((int64_t)delay_ms[1], 7);
}

static void numbers_that_wrap_change_nothing(void)
{
	uint64_t delay_us[2], heard[2];

	for (int wrap = 0; wrap < 2; wrap++) {
		dial(1000, 7);
		jitter(30);
		if (wrap) {
			call.first_seq = 65036;
			call.first_ts = UINT32_MAX - 250 * PACKET + 1;
		}
		pull_until(990);
		delay_us[wrap] = count()->delay_us;
		heard[wrap] = count()->heard_samples;
		CHECK_INT(count()->restarts + count()->bad, 0);
		hang_up();
	}
	CHECK_INT(delay_us[0], delay_us[1]);
	CHECK_INT(heard[0], heard[1]);
}

static void a_stall_of_seconds_is_left_behind(void)
{
	dial(1500, 5);
	for (int i = 500; i < 700; i++) /* 4 s, then all at once */
		call.arrives_ns[i] = FIRST_MS * MS + 700 * 20 * MS;
	pull_until(702);
	CHECK(count()->discarded > 150);
	pull_until(800);
	CHECK_BELOW(call.delay_ms, 40);
	CHECK_INT(count()->restarts, 0);
	hang_up();
}

static void a_path_that_grew_longer_for_good_is_followed(void)
{
	dial(3000, 5);
	for (int i = 500; i < 3000; i++)
		call.arrives_ns[i] += 5000 * MS;
	pull_until(2900);
	CHECK_BELOW(call.delay_ms, 40);
	CHECK(count()->heard_samples > 2600 * PACKET);
	hang_up();
}

static double rms(const int16_t *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum / (double)n);
}

static void a_long_loss_fades_into_the_noise_of_the_place(void)
{
	dial(800, 5);
	for (int i = 500; i < 600; i++)
		call.arrives_ns[i] = -1;
	pull_until(590);

	double background = rms(voice + 2400, 400); /* between words */

	CHECK_BELOW(rms(call.pcm + call.out - 4000, 4000), 2 * background);
	CHECK(rms(call.pcm + call.out - 4000, 4000) > background / 2);
	pull_until(700);
	CHECK_INT(count()->lost, 100);
	CHECK_BELOW(call.delay_ms, 25);
	hang_up();
}

/* Packets apart from the call's own. */
static int put_other(const uint8_t *payload, size_t len, uint32_t timestamp, uint16_t seq, bool comfort, int64_t at_ns)
{
	struct oh_playout_packet packet = { payload, len, timestamp, seq, comfort };

	return oh_playout_put(call.playout, &packet, at_ns);
}

/* Talk for `talk` packets and be silent for as long as 100, three times. */
static void talk_and_pause(bool noise_packets)
{
	static uint8_t sound[PACKET];
	const uint8_t  level = 50;
	uint16_t       seq = 7;
	int64_t        now_ns = 0;

	memset(&call, 0, sizeof(call));
	CHECK_INT(oh_playout_open(&call.playout, OH_CODEC_ULAW, 1), 0);
	for (int i = 0; i < 600; i++, now_ns += 20 * MS) {
		int16_t out[PULL];

		oh_g711_encode(OH_ULAW, voice + i * PACKET, sound, PACKET);
		if (i % 200 < 100)
			CHECK_INT(put_other(sound, PACKET, (uint32_t)i * PACKET, seq++, false, now_ns), 0);
		else if (i % 200 == 100 && noise_packets)
			CHECK_INT(put_other(&level, 1, (uint32_t)i * PACKET, seq++, true, now_ns), 0);
		oh_playout_get(call.playout, out, PULL, now_ns + 7 * MS);
		if (i % 200 == 150 && noise_packets)
			CHECK_BELOW(fabs(rms(out, PULL) / (32768 * pow(10, -50 / 20.0)) - 1), 0.3);
	}
	CHECK_INT(count()->heard_samples, 300 * PACKET);
	CHECK_INT(count()->lost + count()->late + count()->restarts, 0);
	CHECK_BELOW(mean_delay_ms(), 20);
}

static void a_silence_that_the_sender_chose_is_its_noise_and_costs_no_delay(void)
{
	talk_and_pause(true);
	CHECK_INT(count()->concealed_samples, 0);
	hang_up();
	talk_and_pause(false); /* a timestamp that jumps is all that is said */
	hang_up();
}

static void another_stream_goes_on_where_one_ended(void)
{
	static uint8_t sound[PACKET];
	int16_t        out[PULL];
	int64_t        now_ns = 0;

	memset(&call, 0, sizeof(call));
	CHECK_INT(oh_playout_open(&call.playout, OH_CODEC_ULAW, 1), 0);
	for (int i = 0; i < 600; i++, now_ns += 20 * MS) {
		if (i == 200)
			oh_playout_restart(call.playout);
		oh_g711_encode(OH_ULAW, voice + i * PACKET, sound, PACKET);
		/* at 400 the timestamp alone jumps, back in time */
		CHECK_INT(put_other(sound, PACKET, (uint32_t)i * PACKET + (i < 200 ? 0u : i < 400 ? 0x80000000u : 5u),
		                    (uint16_t)(i < 200 ? i : i + 30000), false, now_ns), 0);
		oh_playout_get(call.playout, out, PULL, now_ns + 7 * MS);
	}
	CHECK_INT(count()->restarts, 2);
	CHECK(count()->heard_samples > 595 * PACKET);
	CHECK_BELOW(mean_delay_ms(), 20);
	CHECK_INT(count()->lost, 0);
	hang_up();
}

static void a_lone_stray_is_refused_and_two_in_a_row_are_a_new_stream(void)
{
	static uint8_t sound[PACKET];
	int16_t        out[PULL];
	int64_t        now_ns = 0;

	memset(&call, 0, sizeof(call));
	CHECK_INT(oh_playout_open(&call.playout, OH_CODEC_ULAW, 1), 0);
	for (int i = 0; i < 100; i++, now_ns += 20 * MS) {
		CHECK_INT(put_other(sound, PACKET, (uint32_t)i * PACKET, (uint16_t)i, false, now_ns), 0);
		if (i == 50)
			CHECK_INT(put_other(sound, PACKET, 77, 40000, false, now_ns), -EBADMSG);
		oh_playout_get(call.playout, out, PULL, now_ns + 7 * MS);
	}
	CHECK_INT(count()->bad, 1);
	CHECK_INT(count()->restarts, 0);
	CHECK_INT(put_other(sound, PACKET, 1000000, 20000, false, now_ns), -EBADMSG);
	CHECK_INT(put_other(sound, PACKET, 1000000 + PACKET, 20001, false, now_ns + 20 * MS), 0);
	CHECK_INT(count()->restarts, 1);
	hang_up();
}

static void what_is_no_packet_is_refused(void)
{
	static uint8_t sound[OH_CODEC_PAYLOAD_MAX + 1];

	memset(&call, 0, sizeof(call));
	CHECK_INT(oh_playout_open(&call.playout, OH_CODEC_ULAW, 1), 0);
	CHECK_INT(put_other(sound, sizeof(sound), 0, 0, false, 0), -EBADMSG);
	CHECK_INT(put_other(sound, OH_CODEC_PAYLOAD_MAX, 0, 0, false, 0), -EBADMSG);
	CHECK_INT(count()->bad, 2);
	CHECK_INT(count()->packets, 0);
	hang_up();
	oh_playout_close(NULL);
}

static void nobody_pulling_fills_no_more_than_the_buffer(void)
{
	int16_t out[PULL];

	dial(1000, 0);
	for (int i = 0; i < 1000; i++)
		put(i);
	CHECK(count()->discarded >= 700);
	for (int i = 0; i < 200; i++)
		oh_playout_get(call.playout, out, PULL, FIRST_MS * MS + (1000 + i) * 20 * MS);
	CHECK_INT(count()->packets, 1000);
	hang_up();
}

/* The largest step between neighbours, which a click would show in. */
static int largest_step(const int16_t *x, size_t n)
{
	int largest = 0;

	for (size_t i = 1; i < n; i++)
		if (abs(x[i] - x[i - 1]) > largest)
			largest = abs(x[i] - x[i - 1]);
	return largest;
}

static void one_packet_from_long_ago_is_not_waited_for(void)
{
	dial(800, 5);
	call.pull = 80;
	call.arrives_ns[300] += 1500 * MS;
	call.arrives_ns[500] += 1900 * MS;
	while (call.now_ns < FIRST_MS * MS + 790 * 20 * MS) {
		pull();
		CHECK_BELOW(oh_playout_target_ms(call.playout), 60);
	}
	CHECK_INT(count()->late, 2);
	CHECK_BELOW(call.delay_ms, 30);
	hang_up();
}

static void nothing_clicks_whatever_the_network_does(void)
{
	dial(1500, 5);
	jitter(10);
	for (int i = 100; i < 1400; i += 150)
		for (int j = 0; j < 8; j++)
			call.arrives_ns[i + j] = FIRST_MS * MS + (i + 8) * 20 * MS;
	for (int i = 90; i < 1490; i += 31)
		call.arrives_ns[i] = -1;
	pull_until(1490);
	CHECK(count()->removed_samples > 2000);
	CHECK(count()->inserted_samples > 200);
	CHECK_BELOW(largest_step(call.pcm, call.out), 2.2 * largest_step(voice, 1500 * PACKET));
	hang_up();
}

int main(void)
{
	speak();
	RUN(on_a_still_network_each_sample_comes_out_as_it_went_in_and_soon);
	RUN(after_a_spike_of_300_ms_delay_is_back_within_two_seconds);
	RUN(a_lost_packet_is_made_up_for_exactly_and_leaves_no_delay);
	RUN(a_clock_that_runs_off_by_100_ppm_changes_the_delay_by_nothing);
	RUN(packets_out_of_order_and_twice_are_put_right);
	RUN(a_packet_that_was_overtaken_and_given_up_is_late_and_not_heard);
	RUN(a_packet_that_others_overtake_is_waited_for_where_it_may_come);
	RUN(what_is_waited_for_in_vain_costs_its_delay_for_a_third_of_a_second);
	RUN(pulls_of_any_length_play_the_same);
	RUN(the_sound_of_one_moment_may_be_asked_for_in_pieces);
	RUN(numbers_that_wrap_change_nothing);
	RUN(a_stall_of_seconds_is_left_behind);
	RUN(a_path_that_grew_longer_for_good_is_followed);
	RUN(a_long_loss_fades_into_the_noise_of_the_place);
	RUN(a_silence_that_the_sender_chose_is_its_noise_and_costs_no_delay);
	RUN(another_stream_goes_on_where_one_ended);
	RUN(a_lone_stray_is_refused_and_two_in_a_row_are_a_new_stream);
	RUN(what_is_no_packet_is_refused);
	RUN(nobody_pulling_fills_no_more_than_the_buffer);
	RUN(one_packet_from_long_ago_is_not_waited_for);
	RUN(nothing_clicks_whatever_the_network_does);
	return 0;
}
