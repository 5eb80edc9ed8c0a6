/*
 * voice.h - a port's end of a slot, in the memory shared with a speech worker: slots.c.
 */
#ifndef OH_VOICE_H
#define OH_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_core.h"
#include "oh_listen.h"
#include "oh_resample.h"
#include "oh_slots.h"

struct oh_port;

#define OH_FADE         80u    /* a cut fades over 5 ms at 16 kHz */
#define OH_STARVE_LIMIT 16000u /* 1 s at 16 kHz: an utterance that starves for longer is over */

struct oh_segment {                      /* what several ports' slots lie in */
	struct oh_slots_header *header;
	size_t                  size;
	uint32_t                slots;
	uint32_t               *holders; /* number of the port bound to each slot, 0: none. Ours: `live` is in a worker's reach */
};

struct oh_voice {                        /* a port's end of a slot */
	struct oh_slot_row *row;         /* NULL: not bound */
	uint32_t           *holder;      /* where the segment keeps who is bound to that row */
	uint32_t            epoch;
	uint64_t            heard, concealed, missing;          /* our own cursors; the row's are copies */
	uint64_t            taken, played, starved, cut_done;
	uint64_t            gap;         /* silence sent since the last sample of an utterance that goes on */
	int16_t             tail[OH_FADE]; /* what still leaves of something cut */
	uint32_t            tail_n;
	bool                talking;     /* between talk began and talk ended */
	uint32_t            rate_hz;     /* of what was last heard, 0: nothing yet */
	uint32_t            spare;       /* samples at 16 kHz that are in the ring already and come once more */
	struct oh_up        up;
};

int    oh_segment_map(int fd, struct oh_segment *segment);
void   oh_segment_unmap(struct oh_segment *segment);
int    oh_voice_bind(struct oh_port *port, uint32_t segment, uint32_t slot);
void   oh_voice_leave(struct oh_port *port);
void   oh_voice_hear(struct oh_port *port, const int16_t *pcm, size_t n, uint32_t rate_hz, enum oh_listen_kind kind);
void   oh_voice_obey(struct oh_port *port, bool sending); /* carry out a cut the worker asked for */
void   oh_voice_cut(struct oh_voice *voice, uint64_t before, bool sending);
void   oh_voice_near(const struct oh_voice *voice); /* have the processor fetch what a tick will read */
bool   oh_voice_ready(const struct oh_voice *voice); /* there is something to say, or an utterance to end */
bool   oh_voice_say(struct oh_port *port, int16_t *out, size_t n); /* n samples at 16 kHz; false: all silence */

#endif
