/* test_room.c - a room: that each hears all others and not itself, what supervision switches, and that nothing clicks. */
#include <errno.h>
#include <math.h>

#include "check.h"
#include "oh_room.h"

enum { RATE = 16000, STRETCH = 320 };

struct tone { /* a voice that hums */
	double   hz, level;
	uint64_t said;
};

static void hum(void *arg, int16_t *pcm, size_t n)
{
	struct tone *tone = arg;

	for (size_t i = 0; i < n; i++, tone->said++)
		pcm[i] = (int16_t)(tone->level * sin(2 * M_PI * tone->hz * (double)tone->said / RATE));
}

/* How strong a tone is in a sound, as its amplitude. */
static double strength(const int16_t *pcm, size_t n, double hz)
{
	double re = 0, im = 0;

	for (size_t i = 0; i < n; i++) {
		re += pcm[i] * cos(2 * M_PI * hz * (double)i / RATE);
		im += pcm[i] * sin(2 * M_PI * hz * (double)i / RATE);
	}
	return 2 * sqrt(re * re + im * im) / (double)n;
}

static double steepest(const int16_t *pcm, size_t n)
{
	int most = 0;

	for (size_t i = 1; i < n; i++)
		most = abs(pcm[i] - pcm[i - 1]) > most ? abs(pcm[i] - pcm[i - 1]) : most;
	return most;
}

static struct oh_room *room;
static struct tone     tones[4];
static uint32_t        who[4];

static void four_come_in(void)
{
	static const double hz[4] = {400, 700, 1100, 1600};

	CHECK_INT(oh_room_open(&room, RATE), 0);
	for (int i = 0; i < 4; i++) {
		tones[i] = (struct tone){.hz = hz[i], .level = 4000};
		who[i] = (uint32_t)oh_room_enter(room, hum, &tones[i]);
	}
}

static void all_hear_all(void)
{
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 4; j++)
			oh_room_let_hear(room, who[i], who[j], true);
	}
}

static int16_t sound[4][20 * STRETCH];

/* All listen for `stretches` of 20 ms, by turns. */
static void listen_all(int stretches)
{
	for (int s = 0; s < stretches; s++) {
		for (int i = 0; i < 4; i++)
			(void)oh_room_hear(room, who[i], sound[i] + s * STRETCH, STRETCH);
	}
}

static void each_hears_all_others_and_not_itself(void)
{
	four_come_in();
	all_hear_all();
	listen_all(2);
	listen_all(20);
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 4; j++)
			CHECK_BELOW(fabs(strength(sound[i], 20 * STRETCH, tones[j].hz) - (i == j ? 0 : 4000)), 40);
	}
	/* Every voice was asked once for each stretch of time, not once for each listener. */
	for (int j = 0; j < 4; j++)
		CHECK_INT(tones[j].said, 22 * STRETCH);
	oh_room_close(room);
}

static void a_whisper_is_heard_by_one_and_listening_by_nobody(void)
{
	four_come_in();
	/* 0 and 1 talk; 2 listens to both; 3 listens to both and whispers to 1. */
	for (int i = 0; i < 4; i++) {
		oh_room_let_hear(room, who[i], who[0], true);
		oh_room_let_hear(room, who[i], who[1], true);
	}
	oh_room_let_hear(room, who[1], who[3], true);
	listen_all(2);
	listen_all(20);
	CHECK_BELOW(fabs(strength(sound[1], 20 * STRETCH, tones[3].hz) - 4000), 40);
	CHECK_BELOW(strength(sound[0], 20 * STRETCH, tones[3].hz), 20);
	for (int i = 0; i < 4; i++)
		CHECK_BELOW(strength(sound[i], 20 * STRETCH, tones[2].hz), 20);
	CHECK_BELOW(fabs(strength(sound[2], 20 * STRETCH, tones[0].hz) - 4000), 40);
	CHECK_INT(tones[2].said, 0); /* and nobody asks for what nobody hears */
	oh_room_close(room);
}

static void switching_leaving_and_coming_back_do_not_click(void)
{
	int16_t *heard = sound[0];
	double   steady;

	four_come_in();
	oh_room_let_hear(room, who[0], who[1], true);
	for (int s = 0; s < 10; s++)
		(void)oh_room_hear(room, who[0], heard + s * STRETCH, STRETCH);
	steady = steepest(heard + 2 * STRETCH, 8 * STRETCH);
	CHECK_BELOW(steepest(heard, 10 * STRETCH), steady + 100);
	/* Off in the middle of a loud tone, on again before the fade is out, off, and gone. */
	oh_room_let_hear(room, who[0], who[1], false);
	(void)oh_room_hear(room, who[0], heard + 10 * STRETCH, 30);
	oh_room_let_hear(room, who[0], who[1], true);
	(void)oh_room_hear(room, who[0], heard + 10 * STRETCH + 30, 20);
	oh_room_let_hear(room, who[0], who[1], false);
	for (int s = 0; s < 3; s++)
		(void)oh_room_hear(room, who[0], heard + 10 * STRETCH + 50 + s * STRETCH, STRETCH);
	CHECK_BELOW(steepest(heard + 9 * STRETCH, 3 * STRETCH), steady + 200);
	CHECK_BELOW(strength(heard + 11 * STRETCH + 50, 2 * STRETCH, tones[1].hz), 1);
	oh_room_let_hear(room, who[0], who[1], true);
	for (int s = 0; s < 5; s++)
		(void)oh_room_hear(room, who[0], heard + s * STRETCH, STRETCH);
	oh_room_go(room, who[1]);
	CHECK(oh_room_hear(room, who[0], heard + 5 * STRETCH, STRETCH));
	CHECK(!oh_room_hear(room, who[0], heard + 6 * STRETCH, STRETCH));
	CHECK_BELOW(steepest(heard, 7 * STRETCH), steady + 200);
	oh_room_close(room);
}

static void what_adds_up_to_more_than_fits_is_turned_down_and_comes_back(void)
{
	four_come_in();
	for (int j = 0; j < 4; j++)
		tones[j].level = 20000;
	all_hear_all();
	listen_all(2);
	listen_all(20);
	/* Three voices of 20,000 make 60,000: turned down, not cut off, so nothing but the three is there. */
	CHECK_BELOW(strength(sound[0], 20 * STRETCH, 1100 * 3), 500);
	CHECK_BELOW(fabs(strength(sound[0], 20 * STRETCH, tones[1].hz) - strength(sound[0], 20 * STRETCH, tones[2].hz)), 300);
	CHECK(strength(sound[0], 20 * STRETCH, tones[1].hz) > 8000);
	oh_room_let_hear(room, who[0], who[1], false);
	oh_room_let_hear(room, who[0], who[2], false);
	for (int i = 0; i < 20; i++)
		listen_all(20);
	CHECK_BELOW(fabs(strength(sound[0], 20 * STRETCH, tones[3].hz) - 20000), 400);
	oh_room_close(room);
}

static void who_has_not_listened_goes_on_from_now(void)
{
	four_come_in();
	oh_room_let_hear(room, who[0], who[2], true);
	oh_room_let_hear(room, who[1], who[2], true);
	(void)oh_room_hear(room, who[1], sound[1], STRETCH);
	for (int s = 0; s < 500; s++) /* ten seconds */
		(void)oh_room_hear(room, who[0], sound[0], STRETCH);
	(void)oh_room_hear(room, who[1], sound[1], STRETCH);
	(void)oh_room_hear(room, who[0], sound[0], STRETCH);
	CHECK_INT(tones[2].said, 501 * STRETCH); /* no more than one stretch was asked for to serve both */
	oh_room_close(room);
}

static void a_room_is_as_large_as_it_says(void)
{
	struct tone tone = {.hz = 400, .level = 100};
	int16_t     pcm[STRETCH];
	uint32_t    last = 0;

	CHECK_INT(oh_room_open(&room, 44100), -EINVAL);
	CHECK_INT(oh_room_open(&room, 8000), 0);
	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++)
		last = (uint32_t)oh_room_enter(room, hum, &tone);
	CHECK_INT(oh_room_enter(room, hum, &tone), -ENOSPC);
	oh_room_go(room, last);
	CHECK_INT(oh_room_enter(room, NULL, NULL), (int)last);
	CHECK(!oh_room_hear(room, last, pcm, STRETCH));
	for (int i = 0; i < STRETCH; i++)
		CHECK_INT(pcm[i], 0);
	oh_room_let_hear(room, 0, last, true); /* who only listens cannot be heard */
	CHECK(!oh_room_hear(room, 0, pcm, STRETCH));
	oh_room_set_rate(room, 16000);
	CHECK_INT(oh_room_rate_hz(room), 16000);
	oh_room_let_hear(room, last, 0, true);
	CHECK(oh_room_hear(room, last, pcm, OH_ROOM_SAMPLES / 8));
	oh_room_close(room);
}

static void switching_off_after_the_rate_changed_fades_as_before(void)
{
	four_come_in();
	oh_room_let_hear(room, who[0], who[1], true);
	listen_all(2);
	oh_room_let_hear(room, who[0], who[1], false);
	listen_all(2); /* it has faded wholly */
	oh_room_set_rate(room, 8000);
	CHECK(!oh_room_hear(room, who[0], sound[0], STRETCH / 2));
	oh_room_let_hear(room, who[0], who[2], true);
	(void)oh_room_hear(room, who[0], sound[0], STRETCH / 2);
	oh_room_let_hear(room, who[0], who[2], false);
	CHECK(oh_room_hear(room, who[0], sound[0], STRETCH / 2));
	CHECK_INT(sound[0][STRETCH / 4], 0);
	CHECK(!oh_room_hear(room, who[0], sound[0], STRETCH / 2));
	oh_room_close(room);
}

int main(void)
{
	RUN(each_hears_all_others_and_not_itself);
	RUN(a_whisper_is_heard_by_one_and_listening_by_nobody);
	RUN(switching_leaving_and_coming_back_do_not_click);
	RUN(what_adds_up_to_more_than_fits_is_turned_down_and_comes_back);
	RUN(who_has_not_listened_goes_on_from_now);
	RUN(a_room_is_as_large_as_it_says);
	RUN(switching_off_after_the_rate_changed_fades_as_before);
	return 0;
}
