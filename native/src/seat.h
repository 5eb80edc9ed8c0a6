/*
 * seat.h - rooms and the ports in them: rooms.c finds, fills and empties rooms, seat.c says and hears what is said there.
 */
#ifndef OH_SEAT_H
#define OH_SEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_core.h"
#include "oh_listen.h"
#include "oh_playout.h"
#include "oh_resample.h"
#include "oh_room.h"
#include "oh_rtp.h"

struct oh_port;
struct oh_room_entry;

#define OH_ASIDE 4096u /* samples; a power of two: of what a slot hears besides its line */

struct oh_seat {                         /* a port's place in a room */
	struct oh_room_entry *entry;
	struct oh_playout    *playout;   /* what its line says, in time */
	enum oh_codec         codec;     /* of that */
	bool                  known_ssrc;
	uint32_t              ssrc;      /* of its newest packet */
	uint32_t              line;      /* its line's number as a voice of the room */
	bool                  has_slot;  /* its slot is a voice too: */
	uint32_t              slot;
	enum oh_heard_by      heard;     /* who hears its line */
	uint32_t              target;    /* the port that alone does */
	struct oh_up          line_up;   /* its line, where the room is wider */
	struct oh_down        slot_down; /* its slot, where the room is narrower */
	struct oh_down        mix_down;  /* the mix, where the room is wider than what it says */
	struct oh_up          aside_up;  /* the mix for its slot, where the room is narrower */
	int16_t               aside[OH_ASIDE]; /* what its slot hears besides its line, at 16 kHz */
	uint64_t              aside_written, aside_read;
	bool                  aside_on;  /* it does not run dry */
};

struct oh_room_entry {                   /* a room and who is in it */
	struct oh_room_entry *next;
	struct oh_room       *room;
	uint32_t              number;
	bool                  fleeting;  /* a bridge: ends with the first that leaves */
	int64_t               now_ns;    /* of the one who asks for sound */
	uint32_t              count;
	struct oh_port       *ports[OH_ROOM_VOICES];
};

/* rooms.c */
void oh_port_leave_room(struct oh_port *port); /* also where it is in none */
void oh_rooms_drop(struct oh_core *core);

/* seat.c */
int  oh_seat_make(struct oh_seat **seat, enum oh_codec codec, uint32_t seed); /* any thread */
void oh_seat_free(struct oh_seat *seat);                                      /* of nobody; NULL is fine */
int  oh_seat_take(struct oh_port *port, struct oh_room_entry *entry, struct oh_seat *seat); /* 0, or -ENOSPC */
void oh_seat_leave(struct oh_port *port);
void oh_seat_count(const struct oh_seat *seat, struct oh_port_counters *to); /* adds what its playout counted */
bool oh_seat_slot_fits(const struct oh_port *port); /* may it be bound to a slot? Where it is in a full room, it may not */
void oh_seat_slot_came(struct oh_port *port); /* it was bound to a slot; in a room or not */
void oh_seat_slot_goes(struct oh_port *port);
void oh_seat_heard(struct oh_port *port, enum oh_heard_by heard, uint32_t target);
void oh_seat_rate(struct oh_port *port); /* what it says has another rate from here on; in a room or not */
/* What it hears is of another codec from here on, with a playout buffer for that; the one before. In a room. */
struct oh_playout *oh_seat_recode(struct oh_port *port, struct oh_playout *playout, enum oh_codec codec);
void oh_seat_put(struct oh_port *port, const struct oh_rtp *rtp, enum oh_listen_content content); /* in a room */
bool oh_seat_hear(struct oh_port *port, int16_t *out, size_t n); /* what its far end hears; in a room; false: silence */
void oh_seat_tick(struct oh_port *port, uint32_t samples);       /* gather what its slot hears besides */
bool oh_seat_mix(struct oh_port *port, int16_t *wide, size_t n); /* and mix it in, at 16 kHz; true where there was any */

#endif
