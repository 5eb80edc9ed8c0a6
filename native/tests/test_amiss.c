/* States that units' own code rules out, made by hand: each is counted, mended, and gone on from. */
#include "check.h"
#include "oh_amiss.h"
#include "oh_listen.h"
#include "oh_room.h"
#include "playout.h"

#define MS 1000000ll

/* So many more have been counted since the last time. */
static uint64_t more(void)
{
	static uint64_t before;
	uint64_t        now = oh_amiss_count(), grown = now - before;

	before = now;
	return grown;
}

static void test_what_is_found_is_counted_and_named(void)
{
	int rooms = 0;

	CHECK_INT(more(), 0);
	CHECK(strcmp(oh_amiss_where(), "") == 0);
	CHECK(!OH_AMISS(rooms > 0));
	CHECK_INT(more(), 0);
	CHECK(OH_AMISS(rooms == 0));
	CHECK_INT(more(), 1);
	CHECK(strncmp(oh_amiss_where(), "test_amiss.c:", 13) == 0);
	CHECK(strstr(oh_amiss_where(), ": rooms == 0") != NULL);
}

/* --- the bridge path's buffer */

static struct oh_playout *playing(void)
{
	struct oh_playout *playout;
	uint8_t            payload[160];
	int16_t            out[160];

	memset(payload, 0x55, sizeof(payload));
	CHECK_INT(oh_playout_open(&playout, OH_CODEC_ULAW, 1), 0);
	for (uint16_t i = 0; i < 10; i++) {
		struct oh_playout_packet packet = {.payload = payload, .len = 160, .timestamp = 160u * i, .seq = i};

		CHECK_INT(oh_playout_put(playout, &packet, i * 20 * MS), 0);
		oh_playout_get(playout, out, 160, i * 20 * MS);
	}
	CHECK_INT(more(), 0);
	return playout;
}

/* It goes on as if nothing had been. */
static void plays_on(struct oh_playout *playout)
{
	int16_t  out[160];
	uint64_t played = oh_playout_counters(playout)->played_samples;

	for (int i = 10; i < 100; i++)
		oh_playout_get(playout, out, 160, i * 20 * MS);
	CHECK_INT(oh_playout_counters(playout)->played_samples - played, 90 * 160);
	CHECK_INT(more(), 0);
	oh_playout_close(playout);
}

static void test_sound_that_comes_from_nowhere_is_played(void)
{
	struct oh_playout *playout = playing();
	int16_t            out[80];

	playout->end = playout->at + 80;
	playout->run_count = 0;
	oh_sound_out(playout, 80, 200 * MS);
	CHECK_INT(more(), 1);
	playout->at += 80;
	oh_sound_shorter(playout, 10);
	CHECK_INT(more(), 1);
	oh_playout_get(playout, out, 80, 200 * MS);
	plays_on(playout);
}

static void test_of_more_sound_than_fits_the_oldest_goes(void)
{
	struct oh_playout *playout = playing();

	playout->at = OH_EXPAND_PAST;
	playout->end = OH_PLAYOUT_SOUND;
	for (uint32_t i = 0; i < OH_PLAYOUT_SOUND; i++)
		playout->sound[i] = (int16_t)i;
	playout->run_count = 0;
	oh_sound_add(playout, OH_MADE_UP, oh_sound_ready(playout), 0);
	oh_sound_room(playout);
	CHECK_INT(more(), 1);
	CHECK(playout->end + OH_CODEC_SAMPLES_MAX + 2 * OH_STRETCH_MOST <= OH_PLAYOUT_SOUND);
	CHECK(playout->at >= OH_EXPAND_PAST);
	CHECK_INT(playout->sound[playout->end - 1], OH_PLAYOUT_SOUND - 1);
	CHECK_INT(playout->runs[0].n, oh_sound_ready(playout));
	playout->at = playout->end; /* it is a buffer for one moment after the other, not for this */
	playout->run_count = 0;
	plays_on(playout);
}

/* --- rooms */

static void say(void *arg, int16_t *pcm, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++)
		pcm[i] = 1000;
}

static void test_a_room_hears_nobody_who_is_not_in_it(void)
{
	static int16_t  out[OH_ROOM_SAMPLES + 1];
	struct oh_room *room;
	uint32_t        one, other;

	CHECK_INT(oh_room_open(&room, 8000), 0);
	one = (uint32_t)oh_room_enter(room, say, NULL);
	other = (uint32_t)oh_room_enter(room, say, NULL);
	oh_room_let_hear(room, one, other, true);
	oh_room_go(room, other);
	oh_room_go(room, other);
	CHECK_INT(more(), 1);
	oh_room_let_hear(room, one, other, true);
	CHECK_INT(more(), 1);
	oh_room_let_hear(room, other, one, true);
	CHECK_INT(more(), 1);
	memset(out, 0x55, sizeof(out));
	CHECK(!oh_room_hear(room, other, out, 160));
	CHECK_INT(more(), 1);
	CHECK_INT(out[0], 0);
	CHECK_INT(out[159], 0);
	CHECK(!oh_room_hear(room, one, out, OH_ROOM_SAMPLES + 1));
	CHECK_INT(more(), 1);
	CHECK_INT(out[OH_ROOM_SAMPLES], 0);
	other = (uint32_t)oh_room_enter(room, say, NULL);
	oh_room_let_hear(room, one, other, true);
	for (int i = 0; i < 10; i++)
		CHECK(oh_room_hear(room, one, out, 160));
	CHECK_INT(out[159], 1000);
	CHECK_INT(more(), 0);
	oh_room_close(room);
}

/* --- the listening path's buffer */

static void count_frame(void *arg, const struct oh_listen_frame *frame)
{
	*(uint64_t *)arg += frame->n;
}

static void put(struct oh_listen *listen, uint16_t seq, int64_t at_ns)
{
	static uint8_t          payload[160];
	struct oh_listen_packet packet = {
	        .payload = payload, .payload_len = 160, .ssrc = 1, .timestamp = 160u * seq, .seq = seq, .content = OH_CARRIES_AUDIO};

	CHECK_INT(oh_listen_put(listen, &packet, at_ns), 0);
}

/* From packet `seq` on, half a second more is heard, all of it. */
static void listens_on(struct oh_listen *listen, uint64_t *heard, uint16_t seq)
{
	uint64_t before;

	for (int i = 0; i < 10; i++, seq++)
		put(listen, seq, seq * 20 * MS);
	before = *heard;
	for (int i = 0; i < 25; i++, seq++)
		put(listen, seq, seq * 20 * MS);
	CHECK_INT(*heard - before, 25 * 160);
	CHECK_INT(more(), 0);
	oh_listen_close(listen);
}

static void test_packets_that_wait_and_are_not_there_are_not_waited_for(void)
{
	static struct oh_listen listen;
	uint64_t                heard = 0;

	oh_listen_init(&listen, count_frame, &heard, 1);
	put(&listen, 0, 0);
	listen.waiting = 3;
	oh_listen_tick(&listen, 100 * MS);
	CHECK_INT(more(), 1);
	CHECK_INT(listen.waiting, 0);
	listens_on(&listen, &heard, 10);
}

static void test_packets_that_nobody_counted_make_room(void)
{
	static struct oh_listen listen;
	uint64_t                heard = 0;

	oh_listen_init(&listen, count_frame, &heard, 1);
	put(&listen, 0, 0);
	for (size_t i = 0; i < OH_LISTEN_SLOTS; i++)
		listen.slots[i].used = true;
	put(&listen, 2, 20 * MS);
	CHECK_INT(more(), 1);
	CHECK_INT(listen.waiting, 1);
	put(&listen, 1, 21 * MS);
	CHECK_INT(heard, 3 * 160);
	listens_on(&listen, &heard, 3);
}

int main(void)
{
	RUN(test_what_is_found_is_counted_and_named);
	RUN(test_sound_that_comes_from_nowhere_is_played);
	RUN(test_of_more_sound_than_fits_the_oldest_goes);
	RUN(test_a_room_hears_nobody_who_is_not_in_it);
	RUN(test_packets_that_wait_and_are_not_there_are_not_waited_for);
	RUN(test_packets_that_nobody_counted_make_room);
	return 0;
}
