/* waiting.c - a short sorted list, and a pool of blocks for its bytes. */
#include "waiting.h"

#include <assert.h>
#include <string.h>

_Static_assert(OH_WAITING_BLOCKS <= 255, "a block's number fits a byte");
_Static_assert(OH_CODEC_PAYLOAD_MAX <= 8 * OH_WAITING_BLOCK, "a few blocks hold any packet");

void oh_waiting_init(struct oh_waiting *waiting)
{
	waiting->first = waiting->count = 0;
	waiting->free = 0;
	waiting->blocks_free = OH_WAITING_BLOCKS;
	for (unsigned i = 0; i < OH_WAITING_BLOCKS; i++)
		waiting->next[i] = (uint8_t)(i + 1);
}

static uint32_t blocks_of(size_t len)
{
	return (uint32_t)((len + OH_WAITING_BLOCK - 1) / OH_WAITING_BLOCK);
}

/* Make packets[first + place] free. */
static void make_place(struct oh_waiting *waiting, uint32_t place)
{
	struct oh_waiting_packet *packets = waiting->packets;

	if (waiting->first + waiting->count == OH_WAITING_PACKETS) {
		memmove(packets, packets + waiting->first, waiting->count * sizeof(*packets));
		waiting->first = 0;
	}
	packets += waiting->first;
	memmove(packets + place + 1, packets + place, (waiting->count - place) * sizeof(*packets));
	waiting->count++;
}

bool oh_waiting_put(struct oh_waiting *waiting, struct oh_waiting_packet *packet, const uint8_t *payload)
{
	const struct oh_waiting_packet *packets = waiting->packets + waiting->first;
	uint32_t                        place = waiting->count, blocks = blocks_of(packet->len);
	uint8_t                         block = waiting->free, last = 0;

	if (waiting->count == OH_WAITING_PACKETS || blocks > waiting->blocks_free)
		return false;
	while (place > 0 && packets[place - 1].at > packet->at)
		place--;
	packet->block = block;
	for (size_t at = 0; at < packet->len; at += OH_WAITING_BLOCK) {
		size_t part = packet->len - at < OH_WAITING_BLOCK ? packet->len - at : OH_WAITING_BLOCK;

		memcpy(waiting->bytes[block], payload + at, part);
		last = block;
		block = waiting->next[block];
	}
	if (blocks > 0) {
		waiting->free = waiting->next[last];
		waiting->blocks_free -= blocks;
	}
	make_place(waiting, place);
	waiting->packets[waiting->first + place] = *packet;
	return true;
}

const uint8_t *oh_waiting_bytes(const struct oh_waiting *waiting, uint8_t *room)
{
	const struct oh_waiting_packet *packet = oh_waiting_first(waiting);
	uint8_t                         block = packet->block;

	assert(packet->len <= OH_CODEC_PAYLOAD_MAX);
	if (packet->len <= OH_WAITING_BLOCK)
		return waiting->bytes[block];
	for (size_t at = 0; at < packet->len; at += OH_WAITING_BLOCK, block = waiting->next[block]) {
		size_t part = packet->len - at < OH_WAITING_BLOCK ? packet->len - at : OH_WAITING_BLOCK;

		memcpy(room + at, waiting->bytes[block], part);
	}
	return room;
}

void oh_waiting_drop(struct oh_waiting *waiting)
{
	const struct oh_waiting_packet *packet = oh_waiting_first(waiting);
	uint32_t                        blocks = blocks_of(packet->len);
	uint8_t                         last = packet->block;

	if (blocks > 0) {
		for (uint32_t i = 1; i < blocks; i++)
			last = waiting->next[last];
		waiting->next[last] = waiting->free;
		waiting->free = packet->block;
		waiting->blocks_free += blocks;
	}
	waiting->first++;
	waiting->count--;
	if (waiting->count == 0)
		waiting->first = 0;
}
