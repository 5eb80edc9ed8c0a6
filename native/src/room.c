/* room.c - voices in one room: each one's newest samples in a ring, and for each listener a place in every ring it hears. */
#include "oh_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oh_amiss.h"

enum {
	RING = 4096,     /* samples kept of a voice: 256 ms at 16 kHz; a power of two */
	FADE_MS = 5,
	FADE_MOST = 80,  /* samples at 16 kHz */
	LAG_MS = 120,    /* a listener further behind than its longest packet has not been listening: it goes on from now */
	ONE = 32768,
	CEILING = 32000, /* what the loudest sample of a sum is turned down to */
	RELEASE = 60,    /* a stretch later, a sixtieth nearer to full level: some 1.2 s in stretches of 20 ms */
};

struct ear {                        /* one listener's place in one voice */
	uint64_t read;
	uint32_t risen;             /* samples of its rise that are over */
	bool     on;
};

struct voice {
	oh_room_speak *speak;
	void          *arg;
	bool           here;
	uint64_t       written;                     /* samples it has said */
	int16_t        said[RING];
	struct ear     ears[OH_ROOM_VOICES];        /* what it hears of each other one */
	int32_t        fading[FADE_MOST];           /* the end of what it no longer hears ... */
	uint32_t       fading_n, fading_at;         /* ... its samples, and the next of them */
	int32_t        gain;                        /* of what it hears, in 1/ONE */
};

struct oh_room {
	uint32_t     rate_hz;
	struct voice voices[OH_ROOM_VOICES];
};

static uint32_t fade_of(const struct oh_room *room)
{
	return room->rate_hz / 1000u * FADE_MS;
}

int oh_room_open(struct oh_room **room, uint32_t rate_hz)
{
	struct oh_room *made;

	if (rate_hz != 8000 && rate_hz != 16000)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->rate_hz = rate_hz;
	*room = made;
	return 0;
}

void oh_room_close(struct oh_room *room)
{
	free(room);
}

uint32_t oh_room_rate_hz(const struct oh_room *room)
{
	return room->rate_hz;
}

void oh_room_set_rate(struct oh_room *room, uint32_t rate_hz)
{
	if (room->rate_hz == rate_hz)
		return;
	room->rate_hz = rate_hz;
	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++) {
		struct voice *voice = &room->voices[i];

		voice->written = 0;
		voice->fading_n = voice->fading_at = 0;
		for (uint32_t j = 0; j < OH_ROOM_VOICES; j++) {
			voice->ears[j].read = 0;
			voice->ears[j].risen = 0;
		}
	}
}

int oh_room_enter(struct oh_room *room, oh_room_speak *speak, void *arg)
{
	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++) {
		struct voice *voice = &room->voices[i];

		if (voice->here)
			continue;
		memset(voice, 0, sizeof(*voice));
		voice->speak = speak;
		voice->arg = arg;
		voice->here = true;
		voice->gain = ONE;
		for (uint32_t j = 0; j < OH_ROOM_VOICES; j++)
			room->voices[j].ears[i].on = false;
		return (int)i;
	}
	return -ENOSPC;
}

uint32_t oh_room_places(const struct oh_room *room)
{
	uint32_t free = 0;

	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++)
		free += room->voices[i].here ? 0u : 1u;
	return free;
}

/* Have a voice say what is needed to give `until` samples in all. */
static void speak(struct oh_room *room, struct voice *voice, uint64_t until)
{
	size_t  block = room->rate_hz / 100u;
	int16_t pcm[OH_ROOM_BLOCK];

	while (voice->written < until) {
		voice->speak(voice->arg, pcm, block);
		for (size_t i = 0; i < block; i++)
			voice->said[(voice->written + i) % RING] = pcm[i];
		voice->written += block;
	}
}

/* A listener's place, where it is none that the ring still holds, begins anew at what is said next. */
static void catch_up(const struct oh_room *room, const struct voice *voice, struct ear *ear)
{
	if (voice->written - ear->read <= room->rate_hz / 1000u * LAG_MS)
		return;
	ear->read = voice->written;
	ear->risen = 0;
}

static void fade_out(struct oh_room *room, struct voice *listener, struct voice *speaker, struct ear *ear)
{
	int32_t n = (int32_t)fade_of(room);

	catch_up(room, speaker, ear);
	speak(room, speaker, ear->read + (uint64_t)n);
	/* What is fading already goes on from its next sample. */
	listener->fading_n -= listener->fading_at;
	memmove(listener->fading, listener->fading + listener->fading_at, listener->fading_n * sizeof(int32_t));
	listener->fading_at = 0;
	memset(listener->fading + listener->fading_n, 0, ((size_t)n - listener->fading_n) * sizeof(int32_t));
	listener->fading_n = (uint32_t)n;
	for (int32_t i = 0; i < n; i++) {
		int32_t risen = (int32_t)ear->risen < n ? (int32_t)ear->risen : n; /* it may not have been at full level yet */

		listener->fading[i] += speaker->said[(ear->read + (uint64_t)i) % RING] * risen / n * (n - i) / (n + 1);
	}
}

void oh_room_let_hear(struct oh_room *room, uint32_t listener, uint32_t speaker, bool on)
{
	struct voice *hears = &room->voices[listener], *says = &room->voices[speaker];
	struct ear   *ear = &hears->ears[speaker];

	if (OH_AMISS(!hears->here || !says->here))
		return;
	if (listener == speaker || says->speak == NULL || ear->on == on)
		return;
	if (!on)
		fade_out(room, hears, says, ear);
	*ear = (struct ear){.read = says->written, .on = on};
}

void oh_room_go(struct oh_room *room, uint32_t voice)
{
	if (OH_AMISS(!room->voices[voice].here))
		return;
	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++) {
		if (room->voices[i].here)
			oh_room_let_hear(room, i, voice, false);
	}
	room->voices[voice].here = false;
}

static void add(const struct voice *speaker, struct ear *ear, int32_t fade, int32_t *sum, size_t n)
{
	size_t i = 0;

	for (; i < n && (int32_t)ear->risen < fade; i++, ear->risen++)
		sum[i] += speaker->said[(ear->read + i) % RING] * (int32_t)ear->risen / fade;
	for (; i < n; i++)
		sum[i] += speaker->said[(ear->read + i) % RING];
	ear->read += n;
}

/* Turn a sum down so that its loudest sample fits: within the first quarter where that is urgent, slowly back. */
static void limit(struct voice *listener, const int32_t *sum, int16_t *out, size_t n)
{
	int32_t peak = 0, before = listener->gain, wanted = ONE;
	size_t  ramp = n / 4 + 1;

	for (size_t i = 0; i < n; i++) {
		int32_t magnitude = sum[i] < 0 ? -sum[i] : sum[i];

		peak = magnitude > peak ? magnitude : peak;
	}
	if (peak > CEILING)
		wanted = (int32_t)((int64_t)CEILING * ONE / peak);
	if (wanted > before) {
		int32_t risen = before + (ONE - before) / RELEASE + 1;

		wanted = wanted < risen ? wanted : risen;
		ramp = n;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t gain = i < ramp ? before + (int64_t)(wanted - before) * (int64_t)(i + 1) / (int64_t)ramp : wanted;
		int64_t value = sum[i] * gain / ONE;

		out[i] = (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
	}
	listener->gain = wanted;
}

bool oh_room_hear(struct oh_room *room, uint32_t listener, int16_t *out, size_t n)
{
	struct voice *hears = &room->voices[listener];
	int32_t       sum[OH_ROOM_SAMPLES];
	bool          any = false;

	if (OH_AMISS(!hears->here || n > OH_ROOM_SAMPLES)) {
		memset(out, 0, n * sizeof(*out));
		return false;
	}
	memset(sum, 0, n * sizeof(*sum));
	for (uint32_t i = 0; i < OH_ROOM_VOICES; i++) {
		struct ear *ear = &hears->ears[i];

		if (!ear->on)
			continue;
		any = true;
		catch_up(room, &room->voices[i], ear);
		speak(room, &room->voices[i], ear->read + n);
		add(&room->voices[i], ear, (int32_t)fade_of(room), sum, n);
	}
	for (size_t i = 0; i < n && hears->fading_at < hears->fading_n; i++, hears->fading_at++) {
		sum[i] += hears->fading[hears->fading_at];
		any = true;
	}
	limit(hears, sum, out, n);
	return any;
}
