/*
 * waiting.h - packets that wait to be played, still encoded, in the order of the sender's timeline.
 *
 * Their bytes lie in blocks of one pool, as many as each needs, so that small packets do not take the room of large ones.
 */
#ifndef WAITING_H
#define WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_codec.h"

#define OH_WAITING_PACKETS 200u
#define OH_WAITING_BLOCKS  200u /* 32,000 bytes: 4 s of G.711 */
#define OH_WAITING_BLOCK   160u /* bytes */

enum oh_waiting_kind {
	OH_WAITING_AUDIO,
	OH_WAITING_COMFORT, /* comfort noise */
	OH_WAITING_SILENT,  /* carries no sound at all */
};

struct oh_waiting_packet {
	int64_t              at;         /* place of its first sample on the sender's timeline, samples */
	int64_t              arrival_ns;
	int32_t              n;          /* samples of sound; 0: of another kind */
	uint16_t             seq;
	uint16_t             len;        /* bytes */
	uint8_t              block;      /* first one of its bytes; each names the next */
	bool                 fresh;      /* first of another stream: what lies before it is nothing's place */
	enum oh_waiting_kind kind;
};

struct oh_waiting {
	struct oh_waiting_packet packets[OH_WAITING_PACKETS]; /* by `at`, then by age */
	uint32_t                 first, count;                /* packets[first + i] for i below count */
	uint32_t                 blocks_free;
	uint8_t                  free;
	uint8_t                  next[OH_WAITING_BLOCKS];
	uint8_t                  bytes[OH_WAITING_BLOCKS][OH_WAITING_BLOCK];
};

void oh_waiting_init(struct oh_waiting *waiting);

/* The earliest packet, or NULL: none waits. */
static inline const struct oh_waiting_packet *oh_waiting_first(const struct oh_waiting *waiting)
{
	return waiting->count > 0 ? &waiting->packets[waiting->first] : NULL;
}

/* Put one in its place; `packet->block` is filled in. False: no room. */
bool oh_waiting_put(struct oh_waiting *waiting, struct oh_waiting_packet *packet, const uint8_t *payload);

/*
 * The bytes of the earliest packet: in place where they lie in one block, else gathered in `room`.
 *   room  OH_CODEC_PAYLOAD_MAX bytes
 */
const uint8_t *oh_waiting_bytes(const struct oh_waiting *waiting, uint8_t *room);

/* The earliest packet goes. */
void oh_waiting_drop(struct oh_waiting *waiting);

#endif
