/*
 * oh_ring.h - a bounded ring of fixed-size records between one writing thread and one reading thread, without locks.
 *
 * The writer asks for the next free record (oh_ring_claim), fills it and publishes it; a full ring is an answer, not
 * a wait. The reader looks at the oldest record, and releases it when done. Nothing is allocated after _init.
 */
#ifndef OH_RING_H
#define OH_RING_H

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct oh_ring {
	unsigned char *records;              /* size * count bytes */
	size_t         size;                 /* bytes of one record */
	uint64_t       count;                /* records; a power of two */
	alignas(64) _Atomic uint64_t written; /* the writer's cursor */
	alignas(64) _Atomic uint64_t read;    /* the reader's cursor */
};

/* `count` must be a power of two. -EINVAL, -ENOMEM. */
static inline int oh_ring_init(struct oh_ring *ring, size_t size, uint64_t count)
{
	if (count == 0 || (count & (count - 1)) != 0)
		return -EINVAL;
	ring->records = calloc((size_t)count, size);
	if (ring->records == NULL)
		return -ENOMEM;
	ring->size = size;
	ring->count = count;
	atomic_init(&ring->written, 0);
	atomic_init(&ring->read, 0);
	return 0;
}

static inline void oh_ring_free(struct oh_ring *ring)
{
	free(ring->records);
	ring->records = NULL;
}

/* Records that wait: never fewer than there are for the writer, never more for the reader. */
static inline uint64_t oh_ring_used(struct oh_ring *ring)
{
	return atomic_load_explicit(&ring->written, memory_order_acquire) -
	       atomic_load_explicit(&ring->read, memory_order_acquire);
}

/* The record to fill next, or NULL where the ring is full. Writer only. */
static inline void *oh_ring_claim(struct oh_ring *ring)
{
	uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	if (written - atomic_load_explicit(&ring->read, memory_order_acquire) >= ring->count)
		return NULL;
	return ring->records + (size_t)(written & (ring->count - 1)) * ring->size;
}

/* Hand the claimed record to the reader. Writer only. */
static inline void oh_ring_publish(struct oh_ring *ring)
{
	uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

/* The oldest record, or NULL where there is none. Reader only. */
static inline void *oh_ring_peek(struct oh_ring *ring)
{
	uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);

	if (atomic_load_explicit(&ring->written, memory_order_acquire) == read)
		return NULL;
	return ring->records + (size_t)(read & (ring->count - 1)) * ring->size;
}

/* Done with the oldest record. Reader only. */
static inline void oh_ring_release(struct oh_ring *ring)
{
	uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);

	atomic_store_explicit(&ring->read, read + 1, memory_order_release);
}

#endif
