/*
 * seat.c - a port in a room: its line and its slot are voices there, and who hears whom is arranged here.
 *
 * A line speaks through an adaptive playout buffer (oh_playout.h), whose packets come straight from the socket; it hears
 * the room's mix on its playing path. A slot speaks from its play ring; it hears its own line as ever, on arrival, and
 * the others mixed in, from a short queue that each tick of its port fills.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "oh_amiss.h"
#include "seat.h"

#define TICK_WIDE   320u             /* samples of 20 ms at 16 kHz */
#define ASIDE_READY TICK_WIDE        /* so much waits before a slot is given any of it */
#define ASIDE_MOST  (6u * TICK_WIDE) /* more than this is too late: back to ... */
#define ASIDE_BACK  (2u * TICK_WIDE) /* ... this */

/* --- how voices speak */

/* A line's next 10 ms, at the room's rate. */
static void say_line(void *arg, int16_t *pcm, size_t n)
{
	struct oh_port *port = arg;
	struct oh_seat *seat = port->seat;
	int16_t         narrow[OH_ROOM_BLOCK];

	if (oh_room_rate_hz(seat->entry->room) == oh_codec_rate_hz(seat->codec)) {
		oh_playout_get(seat->playout, pcm, n, seat->entry->now_ns);
		return;
	}
	oh_playout_get(seat->playout, narrow, n / 2u, seat->entry->now_ns);
	oh_up_run(&seat->line_up, narrow, n / 2u, pcm);
}

/* A slot's. */
static void say_slot(void *arg, int16_t *pcm, size_t n)
{
	struct oh_port *port = arg;
	bool            wide = oh_room_rate_hz(port->seat->entry->room) == OH_SLOT_RATE_HZ;
	int16_t         said[2u * OH_ROOM_BLOCK];
	int16_t        *to = wide ? pcm : said;
	size_t          m = wide ? n : 2u * n;

	if (oh_voice_ready(&port->voice))
		(void)oh_voice_say(port, to, m);
	else
		memset(to, 0, m * sizeof(int16_t));
	if (!wide)
		(void)oh_down_run(&port->seat->slot_down, said, m, pcm);
}

/* --- who hears whom */

/* Does a voice (a port's slot or line) hear what `by` says on its line? */
static bool hears_line(const struct oh_port *listener, bool slot, const struct oh_port *by)
{
	switch (by->seat->heard) {
	case OH_HEARD_BY_ALL:
		return true;
	case OH_HEARD_BY_NOBODY:
		return false;
	case OH_HEARD_BY_LINE:
		return !slot && listener->number == by->seat->target;
	case OH_HEARD_BY_SLOT:
		return slot && listener->number == by->seat->target;
	}
	return false;
}

static void arrange(struct oh_room_entry *entry)
{
	struct oh_room *room = entry->room;

	for (uint32_t i = 0; i < entry->count; i++) {
		const struct oh_port *a = entry->ports[i];

		for (uint32_t j = 0; j < entry->count; j++) {
			const struct oh_port *b = entry->ports[j];

			if (a != b)
				oh_room_let_hear(room, a->seat->line, b->seat->line, hears_line(a, false, b));
			if (b->seat->has_slot)
				oh_room_let_hear(room, a->seat->line, b->seat->slot, true);
			if (a->seat->has_slot && a != b) { /* its own line it hears on arrival, not through the room */
				oh_room_let_hear(room, a->seat->slot, b->seat->line, hears_line(a, true, b));
				if (b->seat->has_slot)
					oh_room_let_hear(room, a->seat->slot, b->seat->slot, true);
			}
		}
	}
}

/* The rate of the widest line, in either direction. */
static void match_rate(struct oh_room_entry *entry)
{
	uint32_t rate_hz = 8000;

	for (uint32_t i = 0; i < entry->count; i++) {
		const struct oh_port *port = entry->ports[i];

		if (oh_codec_rate_hz(port->seat->codec) == OH_SLOT_RATE_HZ || 1000u * oh_port_per_ms(port) == OH_SLOT_RATE_HZ)
			rate_hz = OH_SLOT_RATE_HZ;
	}
	if (oh_room_rate_hz(entry->room) == rate_hz)
		return;
	oh_room_set_rate(entry->room, rate_hz);
	for (uint32_t i = 0; i < entry->count; i++) {
		struct oh_seat *seat = entry->ports[i]->seat;

		oh_up_init(&seat->line_up);
		oh_down_init(&seat->slot_down);
		oh_down_init(&seat->mix_down);
		oh_up_init(&seat->aside_up);
	}
}

/* --- coming and going */

int oh_seat_make(struct oh_seat **seat, enum oh_codec codec, uint32_t seed)
{
	struct oh_seat *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	if (oh_playout_open(&made->playout, codec, seed) < 0) {
		free(made);
		return -ENOMEM;
	}
	made->codec = codec;
	oh_up_init(&made->line_up);
	oh_down_init(&made->slot_down);
	oh_down_init(&made->mix_down);
	oh_up_init(&made->aside_up);
	*seat = made;
	return 0;
}

void oh_seat_free(struct oh_seat *seat)
{
	if (seat == NULL)
		return;
	oh_playout_close(seat->playout);
	free(seat);
}

void oh_seat_count(const struct oh_seat *seat, struct oh_port_counters *to)
{
	const struct oh_playout_counters *played = oh_playout_counters(seat->playout);
	uint64_t                          wide = oh_codec_rate_hz(seat->codec) / 8000u;

	to->bridged += played->played_samples / wide;
	to->bridged_heard += played->heard_samples / wide;
	to->bridged_concealed += played->concealed_samples / wide;
	to->bridged_delay_us += played->delay_us / wide;
}

int oh_seat_take(struct oh_port *port, struct oh_room_entry *entry, struct oh_seat *seat)
{
	int line;

	if (entry->count == OH_ROOM_VOICES)
		return -ENOSPC;
	line = oh_room_enter(entry->room, say_line, port);
	if (line < 0)
		return line;
	seat->entry = entry;
	seat->line = (uint32_t)line;
	port->seat = seat;
	entry->ports[entry->count++] = port;
	entry->now_ns = port->now_ns;
	match_rate(entry);
	oh_seat_slot_came(port);
	arrange(entry);
	return 0;
}

void oh_seat_leave(struct oh_port *port)
{
	struct oh_seat       *seat = port->seat;
	struct oh_room_entry *entry;

	if (seat == NULL)
		return;
	entry = seat->entry;
	oh_seat_slot_goes(port);
	oh_room_go(entry->room, seat->line);
	for (uint32_t i = 0; i < entry->count; i++) {
		if (entry->ports[i] == port)
			entry->ports[i] = entry->ports[--entry->count];
	}
	port->seat = NULL;
	oh_seat_count(seat, &port->counters);
	oh_seat_free(seat);
	match_rate(entry);
	arrange(entry); /* whom it whispered to hears it no longer, and nobody else does */
}

bool oh_seat_slot_fits(const struct oh_port *port)
{
	return port->seat == NULL || port->seat->has_slot || oh_room_places(port->seat->entry->room) > 0;
}

void oh_seat_slot_came(struct oh_port *port)
{
	struct oh_seat *seat = port->seat;
	int             slot;

	if (seat == NULL || seat->has_slot || port->voice.row == NULL)
		return;
	slot = oh_room_enter(seat->entry->room, say_slot, port);
	if (OH_AMISS(slot < 0)) /* whoever binds, or brings a bound port in, has made sure of a place */
		return;
	seat->slot = (uint32_t)slot;
	seat->has_slot = true;
	seat->aside_written = seat->aside_read = 0;
	seat->aside_on = false;
	arrange(seat->entry);
}

void oh_seat_slot_goes(struct oh_port *port)
{
	struct oh_seat *seat = port->seat;

	if (seat == NULL || !seat->has_slot)
		return;
	oh_room_go(seat->entry->room, seat->slot);
	seat->has_slot = false;
}

void oh_seat_heard(struct oh_port *port, enum oh_heard_by heard, uint32_t target)
{
	port->seat->heard = heard;
	port->seat->target = target;
	arrange(port->seat->entry);
}

void oh_seat_rate(struct oh_port *port)
{
	if (port->seat == NULL)
		return;
	oh_down_init(&port->seat->mix_down);
	match_rate(port->seat->entry);
}

struct oh_playout *oh_seat_recode(struct oh_port *port, struct oh_playout *playout, enum oh_codec codec)
{
	struct oh_seat    *seat = port->seat;
	struct oh_playout *before = seat->playout;

	seat->playout = playout;
	seat->codec = codec;
	oh_up_init(&seat->line_up);
	match_rate(seat->entry);
	return before;
}

/* --- sound */

void oh_seat_put(struct oh_port *port, const struct oh_rtp *rtp, enum oh_listen_content content)
{
	struct oh_seat          *seat = port->seat;
	struct oh_playout_packet packet = {
	        .payload = rtp->payload,
	        .len = content == OH_CARRIES_OTHER ? 0 : rtp->payload_len, /* digits take a number, and say nothing */
	        .timestamp = rtp->timestamp,
	        .seq = rtp->seq,
	        .comfort = content == OH_CARRIES_COMFORT,
	};

	if (seat->known_ssrc && seat->ssrc != rtp->ssrc)
		oh_playout_restart(seat->playout);
	seat->ssrc = rtp->ssrc;
	seat->known_ssrc = true;
	(void)oh_playout_put(seat->playout, &packet, port->now_ns); /* what it refuses, it counts */
}

bool oh_seat_hear(struct oh_port *port, int16_t *out, size_t n)
{
	struct oh_seat *seat = port->seat;
	int16_t         wide[2u * OH_FRAME];
	bool            any;

	seat->entry->now_ns = port->now_ns;
	if (oh_room_rate_hz(seat->entry->room) == 1000u * oh_port_per_ms(port))
		return oh_room_hear(seat->entry->room, seat->line, out, n);
	any = oh_room_hear(seat->entry->room, seat->line, wide, 2u * n);
	(void)oh_down_run(&seat->mix_down, wide, 2u * n, out);
	return any;
}

void oh_seat_tick(struct oh_port *port, uint32_t samples)
{
	struct oh_seat *seat = port->seat;
	int16_t         heard[TICK_WIDE], wide[TICK_WIDE];
	const int16_t  *from = heard;
	bool            is_wide;
	bool            any;

	if (seat == NULL || !seat->has_slot || seat->entry->count < 2)
		return;
	seat->entry->now_ns = port->now_ns;
	is_wide = oh_room_rate_hz(seat->entry->room) == OH_SLOT_RATE_HZ;
	any = oh_room_hear(seat->entry->room, seat->slot, heard, is_wide ? 2u * samples : samples);
	if (!is_wide) {
		oh_up_run(&seat->aside_up, heard, samples, wide);
		from = wide;
	}
	if (!any)
		return;
	for (uint32_t i = 0; i < 2u * samples; i++)
		seat->aside[(seat->aside_written + i) % OH_ASIDE] = from[i];
	seat->aside_written += 2u * samples;
	if (seat->aside_written - seat->aside_read > ASIDE_MOST)
		seat->aside_read = seat->aside_written - ASIDE_BACK;
}

bool oh_seat_mix(struct oh_port *port, int16_t *wide, size_t n)
{
	struct oh_seat *seat = port->seat;
	uint64_t        ready;

	if (seat == NULL || !seat->has_slot)
		return false;
	ready = seat->aside_written - seat->aside_read;
	if (!seat->aside_on && ready < ASIDE_READY)
		return false;
	seat->aside_on = ready >= n;
	if (ready < n)
		n = (size_t)ready;
	for (size_t i = 0; i < n; i++) {
		int32_t sum = wide[i] + seat->aside[(seat->aside_read + i) % OH_ASIDE];

		wide[i] = (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
	}
	seat->aside_read += n;
	return n > 0;
}
