/*
 * oh_room.h - who hears whom: voices in one room, mixed for each of them without its own (n-way mix-minus).
 *
 * A voice is whatever speaks, hears, or both: the far end of a line, an AI agent. It speaks through a function that makes its next
 * samples, which the room calls once for each stretch of time, whoever asks first. A listener asks for the next stretch
 * of all it hears, at a pace of its own; all paces are those of one clock. Two voices hear each other with no delay; of
 * several listeners those whose turn comes later hear up to one of their packets later.
 *
 * Who hears whom is a matrix of switches, so that mixing and supervision (listen, whisper, barge) are one thing. Nothing
 * clicks: what is switched on rises over 5 ms, what is switched off or leaves falls over 5 ms, and where voices add up
 * to more than fits, all are turned down a little, for as long as they do.
 *
 * All samples are mono, 16 bits, at the room's rate. No allocation after open; one thread.
 */
#ifndef OH_ROOM_H
#define OH_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OH_ROOM_VOICES  16u    /* in a room, at most */
#define OH_ROOM_SAMPLES 1920u  /* most asked for at a time: 120 ms at 16 kHz */
#define OH_ROOM_BLOCK   160u   /* most that a voice is asked for at a time: 10 ms at 16 kHz */

struct oh_room;

/* Make a voice's next n samples (10 ms) at the room's rate; always all of them. */
typedef void oh_room_speak(void *arg, int16_t *pcm, size_t n);

/* An empty room. rate_hz: 8000 or 16000. 0; -ENOMEM; -EINVAL. */
int oh_room_open(struct oh_room **room, uint32_t rate_hz);

/* Give it back, whoever is in it. NULL is harmless. */
void oh_room_close(struct oh_room *room);

uint32_t oh_room_rate_hz(const struct oh_room *room);

/* Go on at another rate: what was spoken and not heard yet (some ms) is left out. */
void oh_room_set_rate(struct oh_room *room, uint32_t rate_hz);

/*
 * A voice comes in; nobody hears it yet, and it hears nobody.
 *   speak, arg  how it speaks; NULL: it only listens
 * Its number in the room, 0..OH_ROOM_VOICES - 1; -ENOSPC: the room is full.
 */
int oh_room_enter(struct oh_room *room, oh_room_speak *speak, void *arg);

/* How many more voices there is place for. */
uint32_t oh_room_places(const struct oh_room *room);

/* A voice goes; its number may be another's next. Asks it for its last 5 ms. */
void oh_room_go(struct oh_room *room, uint32_t voice);

/* Let one voice hear another from now on, or no longer. Nobody hears itself. */
void oh_room_let_hear(struct oh_room *room, uint32_t listener, uint32_t speaker, bool on);

/*
 * The next n samples (1..OH_ROOM_SAMPLES) of what a voice hears.
 * True where it hears anyone or anything of theirs still fades; false: all silence.
 */
bool oh_room_hear(struct oh_room *room, uint32_t listener, int16_t *out, size_t n);

#endif
