/* test_playout_opus.c - the bridge path's buffer with a codec that has memory, another rate and another clock. */
#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "oh_playout.h"

#define MS 1000000ll

enum { FRAME = 320, TICKS = 960, PACKETS = 1000 };

static int16_t            voice[PACKETS * FRAME]; /* what is said: syllables, and nothing in every third second */
static uint8_t            packets[PACKETS][OH_CODEC_PAYLOAD_MAX];
static size_t             lengths[PACKETS]; /* 0: not sent */
static int16_t            out[PACKETS * FRAME];
static struct oh_playout *playout;

static void speak(bool dtx, double loss)
{
	struct oh_encoder encoder;
	double            phase = 0;

	CHECK_INT(oh_encoder_open(&encoder, OH_CODEC_OPUS, dtx), 0);
	oh_encoder_loss(&encoder, loss);
	for (int i = 0; i < PACKETS * FRAME; i++) {
		double t = i / 16000.0, loud = fmod(t, 3) < 2 ? 1.2 + sin(2 * M_PI * 3 * t) : 0;

		phase += 2 * M_PI * (150 + 30 * sin(2 * M_PI * 0.7 * t)) / 16000;
		voice[i] = (int16_t)(loud * (4000 * sin(phase) + 2000 * sin(2 * phase + 1) + 1000 * sin(7 * phase)));
	}
	for (int i = 0; i < PACKETS; i++) {
		int len = oh_encode(&encoder, voice + i * FRAME, FRAME, packets[i], sizeof(packets[i]));

		CHECK(len >= 0);
		lengths[i] = (size_t)len;
	}
	oh_encoder_close(&encoder);
}

/*
 * The call: of `lost` packets the last but one is; what is said in the first 100 ms of a second comes late by `late_ms`;
 * in `pairs` each packet waits for the next to come with it.
 */
static const struct oh_playout_counters *call(int lost, int64_t late_ms, bool pairs)
{
	uint16_t seq = 65000;
	int64_t  pending[PACKETS];
	int      next = 0;

	CHECK_INT(oh_playout_open(&playout, OH_CODEC_OPUS, 1), 0);
	for (int i = 0; i < PACKETS; i++)
		pending[i] = ((pairs ? i | 1 : i) * 20 + (i % 50 < 5 ? late_ms : 0)) * MS;
	for (int i = 1; i < PACKETS; i++)
		pending[i] = pending[i] > pending[i - 1] ? pending[i] : pending[i - 1];
	for (int pull = 0; pull < PACKETS; pull++) {
		int64_t now_ns = (pull * 20 + 6) * MS;

		for (; next < PACKETS && pending[next] <= now_ns; next++) {
			struct oh_playout_packet packet = {
				packets[next], lengths[next], (uint32_t)next * TICKS - 5000, seq, false,
			};

			if (lengths[next] == 0)
				continue;
			seq++;
			if (lost == 0 || next % lost != lost - 2)
				CHECK_INT(oh_playout_put(playout, &packet, pending[next]), 0);
		}
		oh_playout_get(playout, out + pull * FRAME, FRAME, now_ns);
	}
	return oh_playout_counters(playout);
}

static double mean_delay_ms(const struct oh_playout_counters *c)
{
	return (double)c->delay_us / (double)c->heard_samples / 1000;
}

static void all_of_a_call_is_heard_at_once(void)
{
	const struct oh_playout_counters *c;

	speak(false, 0);
	c = call(0, 0, false);
	CHECK_INT(c->heard_samples, PACKETS * FRAME);
	CHECK_INT((int64_t)mean_delay_ms(c), 6);
	oh_playout_close(playout);
}

static void losses_and_late_packets_cost_what_they_must(void)
{
	const struct oh_playout_counters *c;

	speak(false, 0.1);
	c = call(12, 90, false);
	CHECK(c->lost >= PACKETS / 12 - 1 && c->lost <= PACKETS / 12);
	CHECK_INT(c->late + c->bad + c->restarts, 0);
	CHECK_BELOW(c->concealed_samples, PACKETS / 12 * FRAME + 30 * 90 * 16);
	CHECK_BELOW(mean_delay_ms(c), 100);
	CHECK(c->removed_samples > 1000);
	oh_playout_close(playout);
}

/* What the losses changed of the call's sound, as a share of it, where the lost packets belong. */
static double changed_by_losses(double told)
{
	static int16_t whole[PACKETS * FRAME];
	double         error = 0, power = 1;

	speak(false, told);
	(void)call(0, 0, true);
	memcpy(whole, out, sizeof(whole));
	oh_playout_close(playout);

	const struct oh_playout_counters *c = call(12, 0, true);

	CHECK_INT(c->lost, PACKETS / 12);
	CHECK_INT(c->concealed_samples, PACKETS / 12 * FRAME);
	CHECK_INT(c->removed_samples + c->inserted_samples, 0);
	oh_playout_close(playout);
	for (int i = 10; i < PACKETS - 10; i += 12)
		for (int j = 0; j < FRAME; j++) {
			int at = (i + 1) * FRAME + j; /* a packet's sound is given out one pull after it was sent */

			error += pow(out[at] - whole[at], 2);
			power += pow(whole[at], 2);
		}
	return sqrt(error / power);
}

static void a_lost_packet_is_heard_from_its_copy_where_the_next_is_there(void)
{
	double with = changed_by_losses(0.2), without = changed_by_losses(0);

	CHECK_BELOW(with, 0.85 * without);
}

static void a_sender_that_falls_silent_is_not_taken_for_a_network_that_does(void)
{
	const struct oh_playout_counters *c;
	size_t                            sent = 0;

	speak(true, 0);
	for (int i = 0; i < PACKETS; i++)
		sent += lengths[i] > 0;
	CHECK_BELOW(sent, PACKETS - 150);
	c = call(0, 0, false);
	CHECK_INT(c->lost + c->late + c->restarts, 0);
	CHECK_INT(c->concealed_samples, 0);
	CHECK(c->comfort_samples > 100 * FRAME);
	CHECK_BELOW(mean_delay_ms(c), 20);
	oh_playout_close(playout);
}

int main(void)
{
	RUN(all_of_a_call_is_heard_at_once);
	RUN(losses_and_late_packets_cost_what_they_must);
	RUN(a_lost_packet_is_heard_from_its_copy_where_the_next_is_there);
	RUN(a_sender_that_falls_silent_is_not_taken_for_a_network_that_does);
	return 0;
}
