/*
 * slots.c - a port's end of a slot: writes the listen ring, reads the play ring (oh_slots.h).
 *
 * The worker's fields are another process's word. They are read once for each decision and bounded before use, so
 * that no value of theirs can lead outside the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine.h"
#include "seat.h"

#define CACHE_LINE 64u
#define NEAR_BYTES 640u /* of a play ring: 20 ms */

int oh_segment_map(int fd, struct oh_segment *segment)
{
	struct stat             stat;
	struct oh_slots_header *header;
	int                     seals;

	if (fstat(fd, &stat) < 0)
		return -errno;
	if (stat.st_size < (off_t)sizeof(struct oh_slots_header))
		return -EPROTO;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) /* who shortens it would kill us with a signal (SIGBUS) */
		return -EPERM;
	header = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		return -errno;
	segment->header = header;
	segment->size = (size_t)stat.st_size;
	segment->slots = header->slots;
	if (header->magic != OH_SLOTS_MAGIC || header->version != OH_SLOTS_VERSION ||
	    header->stride != sizeof(struct oh_slot_row) || header->ring_samples != OH_RING_SAMPLES ||
	    header->rate_hz != OH_SLOT_RATE_HZ || segment->slots == 0 ||
	    segment->slots > (segment->size - sizeof(*header)) / sizeof(struct oh_slot_row)) {
		oh_segment_unmap(segment);
		return -EPROTO;
	}
	segment->holders = calloc(segment->slots, sizeof(*segment->holders));
	if (segment->holders == NULL) {
		oh_segment_unmap(segment);
		return -ENOMEM;
	}
	return 0;
}

void oh_segment_unmap(struct oh_segment *segment)
{
	if (segment->header != NULL)
		(void)munmap(segment->header, segment->size);
	segment->header = NULL;
	free(segment->holders);
	segment->holders = NULL;
}

int oh_voice_bind(struct oh_port *port, uint32_t segment, uint32_t slot)
{
	struct oh_core     *core = port->core;
	struct oh_voice    *voice = &port->voice;
	struct oh_slot_row *row;
	uint32_t           *holder;
	uint32_t            epoch;

	if (segment >= core->segment_count || slot >= core->segments[segment].slots)
		return -ERANGE;
	row = (struct oh_slot_row *)(void *)((unsigned char *)core->segments[segment].header +
	                                     sizeof(struct oh_slots_header) + (size_t)slot * sizeof(*row));
	holder = &core->segments[segment].holders[slot];
	if (*holder != 0 && *holder != port->number)
		return -EBUSY;
	if (!oh_seat_slot_fits(port))
		return -ENOSPC;
	oh_voice_leave(port);
	*holder = port->number;
	epoch = atomic_load(&row->epoch) + 1u;
	if (epoch == 0)
		epoch = 1;
	/* Nothing of the last binding may be heard: its word is taken back before the new epoch stands. */
	atomic_store(&row->speak_epoch, 0);
	atomic_store(&row->speaking, 0);
	atomic_store(&row->spoken, 0);
	atomic_store(&row->cut_before, 0);
	atomic_store(&row->cut_seq, 0);
	atomic_store(&row->heard, 0);
	atomic_store(&row->concealed, 0);
	atomic_store(&row->missing, 0);
	atomic_store(&row->heard_ns, (uint64_t)port->now_ns);
	atomic_store(&row->taken, 0);
	atomic_store(&row->played, 0);
	atomic_store(&row->starved, 0);
	atomic_store(&row->cut_done, 0);
	atomic_store(&row->cut_played, 0);
	atomic_store(&row->bound_at, (uint64_t)port->clock);
	atomic_store(&row->epoch, epoch);
	atomic_store(&row->live, 1);
	memset(voice, 0, sizeof(*voice));
	oh_up_init(&voice->up);
	voice->epoch = epoch;
	voice->row = row;
	voice->holder = holder;
	oh_seat_slot_came(port);
	return 0;
}

static void talk(struct oh_port *port, bool began, int64_t clock)
{
	port->voice.talking = began;
	port->voice.gap = 0;
	oh_event_media(port->core, port, OH_EVENT_TALK, clock, began ? 1 : 0, (int64_t)port->voice.played, 0, NULL);
}

void oh_voice_leave(struct oh_port *port)
{
	struct oh_voice *voice = &port->voice;

	if (voice->row == NULL)
		return;
	oh_seat_slot_goes(port);
	atomic_store(&voice->row->live, 0);
	*voice->holder = 0;
	if (voice->talking)
		talk(port, false, port->clock);
	voice->row = NULL;
	voice->tail_n = 0;
}

/* Write to the listen ring what is at its rate. */
static void write_ring(struct oh_port *port, const int16_t *pcm, size_t n, enum oh_listen_kind kind)
{
	struct oh_voice *voice = &port->voice;
	size_t           at = (size_t)(voice->heard % OH_RING_SAMPLES);
	size_t           first = OH_RING_SAMPLES - at;
	int16_t          mixed[OH_LISTEN_MAX_SAMPLES];

	if (port->seat != NULL) {
		memcpy(mixed, pcm, n * sizeof(int16_t));
		if (oh_seat_mix(port, mixed, n)) { /* others speak, whatever became of the line's own packets */
			pcm = mixed;
			kind = OH_HEARD;
		}
	}
	if (first > n)
		first = n;
	memcpy(voice->row->listen + at, pcm, first * sizeof(int16_t));
	memcpy(voice->row->listen, pcm + first, (n - first) * sizeof(int16_t));
	voice->heard += n;
	if (kind == OH_CONCEALED)
		voice->concealed += n;
	if (kind == OH_MISSING)
		voice->missing += n;
}

/*
 * What is heard has another rate from here on. The filter gives what it gets OH_RESAMPLE_DELAY later, so that without it
 * that much would be left out, and with it anew that much would be said twice.
 */
static void change_rate(struct oh_port *port, uint32_t rate_hz, enum oh_listen_kind kind)
{
	const size_t     keep = OH_HALF_TAPS - 1u; /* inputs that the filter knows */
	struct oh_voice *voice = &port->voice;

	if (rate_hz == OH_SLOT_RATE_HZ && voice->rate_hz != 0) {
		/* What it holds back: its newest samples, and between two of them the mean, for what follows is not known. */
		const int16_t *newest = voice->up.past + keep - OH_HALF_TAPS / 2u;
		int16_t        held[OH_HALF_TAPS - 2u];

		for (size_t i = 0; i < OH_HALF_TAPS - 2u; i++)
			held[i] = (int16_t)(i % 2 == 0 ? (newest[i / 2] + newest[i / 2 + 1]) / 2 : newest[i / 2 + 1]);
		write_ring(port, held, OH_HALF_TAPS - 2u, kind);
	}
	oh_up_init(&voice->up);
	if (rate_hz != OH_SLOT_RATE_HZ && voice->rate_hz != 0) {
		for (size_t i = 0; i < keep && 2u * i + 1u < voice->heard; i++)
			voice->up.past[keep - 1u - i] =
			        voice->row->listen[(voice->heard - 2u - 2u * i) % OH_RING_SAMPLES];
		voice->spare = OH_RESAMPLE_DELAY;
	} else {
		voice->spare = 0;
	}
	voice->rate_hz = rate_hz;
}

static void write_narrow(struct oh_port *port, const int16_t *pcm, size_t n, enum oh_listen_kind kind)
{
	struct oh_voice *voice = &port->voice;
	int16_t          wide[2u * OH_FRAME];

	while (n > 0) {
		size_t part = n < OH_FRAME ? n : OH_FRAME;
		size_t spare = voice->spare < 2u * part ? voice->spare : 2u * part;

		oh_up_run(&voice->up, pcm, part, wide);
		voice->spare -= (uint32_t)spare;
		write_ring(port, wide + spare, 2u * part - spare, kind);
		pcm += part;
		n -= part;
	}
}

void oh_voice_hear(struct oh_port *port, const int16_t *pcm, size_t n, uint32_t rate_hz, enum oh_listen_kind kind)
{
	struct oh_voice    *voice = &port->voice;
	struct oh_slot_row *row = voice->row;

	if (row == NULL)
		return;
	/*
	 * A caller who put us on hold talks to somebody else, or lets music play: it is not for the slot. Its stream
	 * stands still meanwhile, and so does every timer of a conversation that runs on it.
	 */
	if (port->have_remote && !port->remote.send)
		return;
	if (rate_hz != voice->rate_hz)
		change_rate(port, rate_hz, kind);
	if (rate_hz == OH_SLOT_RATE_HZ)
		write_ring(port, pcm, n, kind);
	else
		write_narrow(port, pcm, n, kind);
	atomic_store_explicit(&row->concealed, voice->concealed, memory_order_relaxed);
	atomic_store_explicit(&row->missing, voice->missing, memory_order_relaxed);
	atomic_store_explicit(&row->heard_ns, (uint64_t)port->now_ns, memory_order_relaxed);
	atomic_store_explicit(&row->heard, voice->heard, memory_order_release);
}

/* Samples that wait in the play ring; 0 where they are meant for another binding. */
static uint64_t waiting(const struct oh_voice *voice)
{
	uint64_t spoken;

	if (voice->row == NULL ||
	    atomic_load_explicit(&voice->row->speak_epoch, memory_order_acquire) != voice->epoch)
		return 0;
	spoken = atomic_load_explicit(&voice->row->spoken, memory_order_acquire);
	return spoken > voice->taken ? spoken - voice->taken : 0;
}

static bool promised(const struct oh_voice *voice)
{
	return voice->row != NULL &&
	       atomic_load_explicit(&voice->row->speak_epoch, memory_order_acquire) == voice->epoch &&
	       atomic_load_explicit(&voice->row->speaking, memory_order_acquire) != 0;
}

static void publish(struct oh_voice *voice)
{
	struct oh_slot_row *row = voice->row;

	atomic_store_explicit(&row->starved, voice->starved, memory_order_relaxed);
	atomic_store_explicit(&row->played, voice->played, memory_order_release);
	atomic_store_explicit(&row->taken, voice->taken, memory_order_release);
}

void oh_voice_near(const struct oh_voice *voice)
{
	const struct oh_slot_row *row = voice->row;
	const int16_t            *play;

	if (row == NULL)
		return;
	play = row->play + voice->taken % OH_RING_SAMPLES;
	__builtin_prefetch(&row->spoken);
	__builtin_prefetch(&row->taken, 1);
	for (size_t line = 0; line < NEAR_BYTES; line += CACHE_LINE)
		__builtin_prefetch((const char *)play + line);
}

/* Copy n samples from the play ring's read cursor on, and move it. n is at most what waits and the ring holds. */
static void take(struct oh_voice *voice, int16_t *out, size_t n)
{
	size_t at = (size_t)(voice->taken % OH_RING_SAMPLES);
	size_t first = OH_RING_SAMPLES - at;

	if (first > n)
		first = n;
	memcpy(out, voice->row->play + at, first * sizeof(int16_t));
	memcpy(out + first, voice->row->play, (n - first) * sizeof(int16_t));
	voice->taken += n;
	voice->played += n;
}

void oh_voice_cut(struct oh_voice *voice, uint64_t before, bool sending)
{
	uint64_t ready = waiting(voice);
	uint64_t drop;

	if (ready == 0 || before <= voice->taken)
		return;
	drop = before - voice->taken;
	if (drop > ready)
		drop = ready;
	before = voice->taken + drop;
	/* Sound that was going on fades out over what would have come next; from silence there is nothing to fade. */
	if (sending && voice->talking && voice->gap == 0 && voice->tail_n == 0 && drop <= OH_RING_SAMPLES) {
		uint32_t fade = drop < OH_FADE ? (uint32_t)drop : OH_FADE;

		take(voice, voice->tail, fade);
		for (uint32_t i = 0; i < fade; i++)
			voice->tail[i] = (int16_t)(voice->tail[i] * (int32_t)(fade - i) / (int32_t)(fade + 1u));
		voice->tail_n = fade;
	}
	voice->taken = before;
	publish(voice);
}

void oh_voice_obey(struct oh_port *port, bool sending)
{
	struct oh_voice *voice = &port->voice;
	uint64_t         seq;

	if (voice->row == NULL ||
	    atomic_load_explicit(&voice->row->speak_epoch, memory_order_acquire) != voice->epoch)
		return;
	seq = atomic_load_explicit(&voice->row->cut_seq, memory_order_acquire);
	if (seq <= voice->cut_done)
		return;
	oh_voice_cut(voice, atomic_load_explicit(&voice->row->cut_before, memory_order_relaxed), sending);
	voice->cut_done = seq;
	atomic_store_explicit(&voice->row->cut_played, voice->played, memory_order_relaxed);
	atomic_store_explicit(&voice->row->cut_done, seq, memory_order_release);
}

bool oh_voice_ready(const struct oh_voice *voice)
{
	return voice->row != NULL && (voice->talking || voice->tail_n > 0 || waiting(voice) > 0);
}

bool oh_voice_say(struct oh_port *port, int16_t *out, size_t n)
{
	struct oh_voice *voice = &port->voice;
	uint64_t         ready = waiting(voice);
	size_t           done = 0;

	if (voice->tail_n > 0) { /* counted when it was cut */
		done = voice->tail_n < n ? voice->tail_n : n;
		memcpy(out, voice->tail, done * sizeof(int16_t));
		voice->tail_n = 0;
	}
	if (ready > OH_RING_SAMPLES) { /* the worker wrote over what had not been played: that is gone */
		voice->taken += ready - OH_RING_SAMPLES;
		ready = OH_RING_SAMPLES;
	}
	if (ready > 0 && done < n) {
		size_t part = ready < n - done ? (size_t)ready : n - done;

		if (!voice->talking) /* the sound's first sample, to the sample; at 16 kHz two are one of ours */
			talk(port, true, port->clock + (int64_t)(done / 2u));
		voice->starved += voice->gap;
		voice->gap = 0;
		take(voice, out + done, part);
		done += part;
	}
	memset(out + done, 0, (n - done) * sizeof(int16_t));
	if (done < n && voice->talking) {
		if (!promised(voice) && waiting(voice) == 0) {
			talk(port, false, port->clock + (int64_t)((done + 1u) / 2u));
		} else {
			voice->gap += n - done;
			if (voice->gap > OH_STARVE_LIMIT)
				talk(port, false, port->clock + (int64_t)((done + 1u) / 2u));
		}
	}
	publish(voice);
	return done > 0;
}
