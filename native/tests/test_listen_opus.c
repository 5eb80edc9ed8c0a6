/* test_listen_opus.c - the listening path's buffer with a codec that has memory, another rate and another clock. */
#include <errno.h>
#include <math.h>

#include "check.h"
#include "oh_listen.h"

#define MS 1000000ll

enum { FRAME = 320, TICKS = 960, PACKETS = 400, SAMPLES = PACKETS * FRAME, FIRST_SEQ = 65500 };

static struct oh_listen listen;
static int64_t          now;
static int64_t          next_at;
static uint32_t         next_ts, ts_zero;
static int64_t          live, by_kind[6];
static int64_t          heard_at_ns[PACKETS];
static int              restarts, frames;
static uint32_t         rate_hz;
static int16_t          voice[SAMPLES];      /* what is said */
static int16_t          plain[SAMPLES];      /* what a decoder makes of it that gets every packet */
static int16_t          reader[4 * SAMPLES]; /* what the reader gets, at 16 kHz */
static int64_t          read_n;
static uint8_t          packets[PACKETS][OH_CODEC_PAYLOAD_MAX];
static size_t           lengths[PACKETS];

static void ear(void *arg, const struct oh_listen_frame *frame)
{
	(void)arg;
	CHECK(frame->n > 0 && frame->n <= OH_LISTEN_MAX_SAMPLES);
	if (frame->rate_hz != rate_hz) {
		next_at = next_at * frame->rate_hz / rate_hz;
		rate_hz = frame->rate_hz;
	}
	frames++;
	restarts += frame->restarted;
	by_kind[frame->kind] += (int64_t)frame->n;
	if (frame->kind == OH_LATE) {
		CHECK(frame->at + (int64_t)frame->n <= next_at);
		return;
	}
	CHECK_INT(frame->at, next_at);
	if (!frame->restarted && frames > 1)
		CHECK_INT(frame->timestamp, next_ts);
	next_at = frame->at + (int64_t)frame->n;
	next_ts = frame->timestamp + (rate_hz == 16000 ? 3 : 1) * (uint32_t)frame->n;
	if (frame->kind == OH_HEARD && frame->timestamp - ts_zero < PACKETS * TICKS)
		heard_at_ns[(frame->timestamp - ts_zero) / TICKS] = now;
	if (!oh_listen_live(frame->kind))
		return;
	live += (int64_t)frame->n;
	for (size_t i = 0; i < frame->n && read_n < 4 * SAMPLES - 1; i++) {
		reader[read_n++] = frame->pcm[i];
		if (rate_hz == 8000)
			reader[read_n++] = frame->pcm[i];
	}
}

/* A voice of harmonics in syllables, coded; `loss`: what the encoder is told, `dtx`: likewise. */
static void speak(double loss, bool dtx)
{
	struct oh_encoder encoder;
	struct oh_decoder decoder;
	double            phase = 0;

	for (int i = 0; i < SAMPLES; i++) {
		double t = (double)i / 16000, syllable = 0.3 + pow(sin(M_PI * 3.1 * t), 2), sum = 0;

		phase += 2 * M_PI * (140 + 30 * sin(2 * M_PI * 0.7 * t)) / 16000;
		for (int k = 1; k <= 12; k++)
			sum += sin(k * phase) / k;
		voice[i] = (int16_t)(3500 * syllable * sum);
		if (dtx && i > SAMPLES / 8)
			voice[i] = 0;
	}
	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, dtx), 0);
	CHECK_INT(oh_decoder_open(&decoder, OH_CODEC_OPUS), 0);
	oh_encoder_loss(&encoder, loss);
	for (int i = 0; i < PACKETS; i++) {
		int len = oh_encode(&encoder, voice + i * FRAME, FRAME, packets[i], sizeof(packets[i]));

		CHECK(len >= 0);
		lengths[i] = (size_t)len;
		if (len > 0)
			CHECK_INT(oh_decode(&decoder, packets[i], lengths[i], plain + i * FRAME), FRAME);
	}
	oh_encoder_close(&encoder);
	oh_decoder_close(&decoder);
}

static void start(uint32_t first_ts)
{
	struct oh_decoder decoder;

	oh_listen_close(&listen);
	oh_listen_init(&listen, ear, NULL, 1);
	CHECK_INT(oh_decoder_open(&decoder, OH_CODEC_OPUS), 0);
	oh_listen_codec(&listen, &decoder);
	oh_decoder_close(&decoder);
	now = 1000000 * MS;
	next_at = live = read_n = 0;
	next_ts = ts_zero = first_ts;
	memset(by_kind, 0, sizeof(by_kind));
	memset(heard_at_ns, 0, sizeof(heard_at_ns));
	restarts = frames = 0;
	rate_hz = 16000;
}

static int packet_at(unsigned i, uint32_t timestamp, uint16_t seq)
{
	struct oh_listen_packet packet = { packets[i], lengths[i], OH_CARRIES_AUDIO, 7, timestamp, seq };

	return oh_listen_put(&listen, &packet, now);
}

static int packet(unsigned i)
{
	return packet_at(i, ts_zero + TICKS * i, (uint16_t)(FIRST_SEQ + i));
}

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

static double difference(const int16_t *x, const int16_t *y, int64_t n)
{
	double error = 0, energy = 1;

	for (int64_t i = 0; i < n; i++) {
		error += pow((double)x[i] - y[i], 2);
		energy += pow((double)y[i], 2);
	}
	return error / energy;
}

static int largest_step(const int16_t *x, int64_t n)
{
	int largest = 0;

	for (int64_t i = 1; i < n; i++)
		if (abs(x[i] - x[i - 1]) > largest)
			largest = abs(x[i] - x[i - 1]);
	return largest;
}

static void packets_in_order_come_out_at_once_at_sixteen_kilohertz(void)
{
	speak(0, false);
	start(0xffffff00u); /* the timestamp wraps on the way, and so does the sequence number */
	for (unsigned i = 0; i < PACKETS; i++) {
		CHECK_INT(packet(i), 0);
		CHECK_INT(heard_at_ns[i], now);
		pass(20 * MS);
	}
	CHECK_INT(live, SAMPLES);
	CHECK_INT(listen.counters.heard_samples, SAMPLES);
	CHECK_INT(restarts, 0);
	CHECK(memcmp(reader, plain, sizeof(plain)) == 0);
}

static void a_lost_packet_is_heard_from_the_next_ones_copy(void)
{
	speak(0.2, false);
	start(5);
	for (unsigned i = 0; i < PACKETS; i++) {
		if (i % 10 != 9)
			CHECK_INT(packet(i), 0);
		pass(20 * MS);
	}
	CHECK_INT(live + FRAME, SAMPLES); /* the last one was lost */
	CHECK_INT(listen.counters.lost, PACKETS / 10 - 1);
	CHECK(listen.counters.recovered_samples >= 30 * FRAME);
	CHECK_INT(listen.counters.recovered_samples + listen.counters.concealed_samples, (PACKETS / 10 - 1) * FRAME);
	CHECK_INT(by_kind[OH_HEARD], listen.counters.heard_samples);
	CHECK_BELOW(difference(reader, plain, live), 0.1);
	for (unsigned i = 9; i + 1 < PACKETS; i += 10)
		CHECK(heard_at_ns[i + 1] - heard_at_ns[i - 1] <= 60 * MS + OH_LISTEN_WAIT_NS / 2);
}

static void of_several_lost_packets_the_last_is_heard_and_the_others_are_made_up(void)
{
	speak(0.2, false);
	start(0);
	talk(0, 101);
	pass(60 * MS); /* 101 to 103 are lost */
	CHECK(oh_codec_copied(OH_CODEC_OPUS, packets[104], lengths[104]) == FRAME);
	talk(104, 120);
	CHECK_INT(listen.counters.lost, 3);
	CHECK_INT(live, 120 * FRAME);
	CHECK(listen.counters.concealed_samples >= FRAME);
	CHECK(listen.counters.recovered_samples == FRAME || by_kind[OH_CONCEALED] == 3 * FRAME);
}

static void without_copies_the_codec_itself_conceals_without_a_click(void)
{
	int usual;

	speak(0, false);
	start(0);
	talk(0, PACKETS);
	usual = largest_step(reader, read_n);
	for (int gap = 1; gap <= 6; gap++) {
		start(0);
		for (unsigned i = 0; i < PACKETS; i++) {
			if (i < 20 || i % 40 >= (unsigned)gap)
				CHECK_INT(packet(i), 0);
			pass(20 * MS);
		}
		CHECK_INT(listen.counters.recovered_samples, 0);
		CHECK(by_kind[OH_CONCEALED] >= 9 * (gap < 3 ? gap : 3) * FRAME);
		CHECK(gap > 3 || by_kind[OH_MISSING] == 0);
		CHECK_BELOW(largest_step(reader, read_n), 1.5 * usual);
	}
}

static void when_nothing_comes_the_voice_fades_within_sixty_milliseconds(void)
{
	speak(0, false);
	start(0);
	talk(0, 105);
	pass(1000 * MS);
	CHECK_INT(by_kind[OH_CONCEALED], 960);
	CHECK_INT(by_kind[OH_MISSING], live - 105 * FRAME - 960);
	CHECK(live >= (2100 + 1000 - 60) * 16 && live <= (2100 + 1000) * 16);
	for (int64_t i = 105 * FRAME + 960; i < live; i++)
		CHECK(abs(reader[i]) < 64);
	CHECK_BELOW(abs(reader[105 * FRAME + 959]), 200); /* and it comes down to that without a step */
}

static void packets_that_return_after_a_stall_leave_the_voice_whole(void)
{
	speak(0, false);
	start(0);
	talk(0, 100);
	pass(300 * MS);
	for (unsigned i = 100; i < 116; i++)
		CHECK_INT(packet(i), 0);
	CHECK(by_kind[OH_LATE] > 0);
	CHECK_INT(heard_at_ns[115], now);
	pass(20 * MS);
	talk(116, PACKETS);
	CHECK_INT(live, SAMPLES);
	CHECK_INT(listen.counters.lost, 0);
	/* decoded in their turn, late ones too, so that what follows is as if nothing had been */
	CHECK_BELOW(difference(reader + 120 * FRAME, plain + 120 * FRAME, 280 * FRAME), 0.01);
}

static void a_packet_that_comes_after_its_turn_leaves_the_stream_as_it_is(void)
{
	static int16_t without[SAMPLES];

	speak(0, false);
	for (int round = 0; round < 2; round++) {
		start(0);
		talk(0, 50);
		pass(20 * MS);
		talk(51, 60);
		if (round == 1) {
			CHECK_INT(packet(50), 0);
			CHECK_INT(by_kind[OH_LATE], FRAME);
			CHECK_INT(listen.counters.lost, 0);
		}
		talk(60, 200);
		CHECK_INT(live, 200 * FRAME);
		if (round == 0)
			memcpy(without, reader, sizeof(without));
	}
	CHECK(memcmp(without, reader, 200 * FRAME * sizeof(*reader)) == 0);
}

static void a_silence_by_dtx_is_the_senders_own(void)
{
	unsigned sent = 0;

	speak(0, true);
	start(0xfffff000u);
	for (unsigned i = 0; i < PACKETS; i++) {
		if (lengths[i] > 0) {
			CHECK_INT(packet_at(i, ts_zero + TICKS * i, (uint16_t)(FIRST_SEQ + sent++)), 0);
			CHECK_INT(heard_at_ns[i], now);
		}
		pass(20 * MS);
	}
	CHECK(sent < PACKETS / 3);
	CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING] + by_kind[OH_LATE], 0);
	CHECK_INT(listen.counters.lost, 0);
	CHECK(by_kind[OH_COMFORT] > SAMPLES / 2);
	CHECK(live >= SAMPLES - 60 * 16 && live <= SAMPLES);
}

static void timestamps_between_two_samples_are_taken(void)
{
	uint32_t state = 5;

	speak(0, false);
	start(1);
	for (unsigned i = 0; i < PACKETS; i++) { /* off by a tick or two, to and fro */
		CHECK_INT(packet_at(i, ts_zero + TICKS * i + noise(&state) % 3, (uint16_t)(FIRST_SEQ + i)), 0);
		pass(20 * MS);
	}
	CHECK(by_kind[OH_COMFORT] + by_kind[OH_LATE] <= PACKETS);
	CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING], 0);
	CHECK(live >= SAMPLES - 1 && live <= SAMPLES + 1);
	CHECK_INT(restarts, 0);
}

static void what_the_codec_would_not_take_is_refused(void)
{
	uint8_t                 payload[3] = { 0x4b, 0x3f, 0 }; /* 63 frames of 20 ms */
	struct oh_listen_packet broken = { payload, 3, OH_CARRIES_AUDIO, 7, 0, FIRST_SEQ };

	start(0);
	CHECK_INT(oh_listen_put(&listen, &broken, now), -EINVAL);
	broken.payload_len = 0;
	CHECK_INT(oh_listen_put(&listen, &broken, now), -EINVAL);
	CHECK_INT(listen.counters.bad, 2);
	CHECK_INT(frames, 0);
}

/* ---- the codec changes on the way ---- */

static void law_packet(unsigned i)
{
	struct oh_encoder       encoder;
	int16_t                 narrow[160];
	uint8_t                 coded[160];
	struct oh_listen_packet packet = { coded, 160, OH_CARRIES_AUDIO, 7, 1000 + 160 * i, (uint16_t)(FIRST_SEQ + i) };

	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_ALAW, false), 0);
	for (int k = 0; k < 160; k++)
		narrow[k] = voice[i * FRAME + 2 * (unsigned)k];
	CHECK_INT(oh_encode(&encoder, narrow, 160, coded, sizeof(coded)), 160);
	CHECK_INT(oh_listen_put(&listen, &packet, now), 0);
	pass(20 * MS);
}

static void change(enum oh_codec from, enum oh_codec to)
{
	struct oh_decoder decoder;

	CHECK_INT(oh_decoder_open(&decoder, to), 0);
	oh_listen_codec(&listen, &decoder);
	CHECK_INT(decoder.codec, from);
	CHECK((decoder.opus != NULL) == (from == OH_CODEC_OPUS));
	oh_decoder_close(&decoder);
}

static void a_change_of_codec_goes_on_without_a_click(void)
{
	int usual;

	speak(0, false);
	start(0);
	talk(0, PACKETS);
	usual = largest_step(reader, read_n);
	for (unsigned at = 100; at < 120; at++) { /* wherever in the voice it falls */
		start(0);
		talk(0, at);
		change(OH_CODEC_OPUS, OH_CODEC_ALAW);
		CHECK_INT(listen.counters.heard_samples, at * FRAME / 2);
		for (unsigned i = at; i < at + 50; i++)
			law_packet(i);
		change(OH_CODEC_ALAW, OH_CODEC_OPUS);
		ts_zero = 0x12345678u - (at + 50) * TICKS;
		talk(at + 50, at + 150);
		CHECK_INT(restarts, 2);
		CHECK_INT(by_kind[OH_CONCEALED] + by_kind[OH_MISSING] + by_kind[OH_COMFORT], 0);
		CHECK_INT(listen.counters.heard_samples, (at + 150) * FRAME);
		CHECK_INT(listen.counters.bad, 0);
		CHECK_INT(next_at, (at + 150) * FRAME);
		CHECK_BELOW(largest_step(reader, read_n), 2.5 * usual); /* samples of 8 kHz stand twice in `reader` */
	}
}

static void what_waits_at_a_change_is_decoded_as_it_was_coded(void)
{
	speak(0, false);
	start(0);
	talk(0, 100);
	CHECK_INT(packet(101), 0);
	CHECK_INT(packet(102), 0);
	change(OH_CODEC_OPUS, OH_CODEC_ULAW);
	CHECK(heard_at_ns[101] > 0 && heard_at_ns[102] > 0);
	CHECK_INT(listen.waiting, 0);
	pass(1000 * MS); /* and time goes on at the new rate before a packet comes */
	CHECK_INT(by_kind[OH_CONCEALED], FRAME + 479); /* the change itself takes one of the 480 */
	CHECK(by_kind[OH_MISSING] > 6500 && by_kind[OH_MISSING] < 7500);
}

static void any_network_and_any_change_keep_the_promises(void)
{
	uint32_t state = 99;

	speak(0.1, false);
	for (int round = 0; round < 40; round++) {
		unsigned loss = noise(&state) % 40, late = noise(&state) % 30;

		start(noise(&state));
		for (unsigned i = 0; i < 300; i++) {
			if (noise(&state) % 100 < loss) {
				pass(20 * MS);
				continue;
			}
			CHECK_INT(packet(i), 0);
			if (noise(&state) % 100 < late && i > 20)
				CHECK(packet(i - noise(&state) % 20) <= 0);
			pass((int64_t)(noise(&state) % 41) * MS);
			if (noise(&state) % 200 == 0) {
				change(OH_CODEC_OPUS, OH_CODEC_ULAW);
				pass((int64_t)(noise(&state) % 100) * MS);
				change(OH_CODEC_ULAW, OH_CODEC_OPUS);
			}
		}
		/* a carried-over count may lose a sample to rounding */
		CHECK(llabs((int64_t)listen.counters.heard_samples - by_kind[OH_HEARD]) <= 400);
	}
}

int main(void)
{
	RUN(packets_in_order_come_out_at_once_at_sixteen_kilohertz);
	RUN(a_lost_packet_is_heard_from_the_next_ones_copy);
	RUN(of_several_lost_packets_the_last_is_heard_and_the_others_are_made_up);
	RUN(without_copies_the_codec_itself_conceals_without_a_click);
	RUN(when_nothing_comes_the_voice_fades_within_sixty_milliseconds);
	RUN(packets_that_return_after_a_stall_leave_the_voice_whole);
	RUN(a_packet_that_comes_after_its_turn_leaves_the_stream_as_it_is);
	RUN(a_silence_by_dtx_is_the_senders_own);
	RUN(timestamps_between_two_samples_are_taken);
	RUN(what_the_codec_would_not_take_is_refused);
	RUN(a_change_of_codec_goes_on_without_a_click);
	RUN(what_waits_at_a_change_is_decoded_as_it_was_coded);
	RUN(any_network_and_any_change_keep_the_promises);
	oh_listen_close(&listen);
	return 0;
}
