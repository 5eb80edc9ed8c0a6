/*
 * disk.c - the way of a track from the media thread to the file, and the thread that writes.
 *
 * The thread that writes also frees what would keep the media thread from its packets.
 *
 * The media thread gathers a track's samples in a block, hands that over by its number and gets it back when it is
 * written; where none is left it drops samples, counts them and says so, but never waits. The end of a recording is never
 * dropped: it waits in a list for room in the ring.
 *
 * What a recording costs is the system calls and the pages touched, not the bytes: a block ends where a page of the file
 * does, and the disk thread lets a few dozen gather before it wakes.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "engine.h"

#define CACHE_LINE   64u
#define NEAR_BYTES   (160u * sizeof(int16_t) + CACHE_LINE) /* 20 ms at 8 kHz, wherever in a line they begin */

/* Samples of the track's first block that would lie before the file's begin, in place of its header. */
#define BEFORE (OH_TRACK_HEADER / sizeof(int16_t))

_Static_assert(OH_BLOCK * sizeof(int16_t) % 4096u == 0, "blocks are whole pages of the file");
_Static_assert(BEFORE < OH_BLOCK, "the header is no longer than a block");

static size_t blocks_bytes(const struct oh_core *core)
{
	return (size_t)core->block_count * sizeof(*core->blocks);
}

int oh_disk_init(struct oh_core *core, uint32_t blocks)
{
	void *memory;
	int   error;

	core->block_count = blocks;
	memory = mmap(NULL, blocks_bytes(core), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	core->blocks = memory;
	error = oh_ring_init(&core->disk, sizeof(struct oh_errand), 2u * blocks); /* and as many ends of recordings */
	return error < 0 ? error : oh_ring_init(&core->blocks_back, sizeof(uint32_t), blocks);
}

void oh_disk_free(struct oh_core *core)
{
	if (core->blocks != NULL)
		(void)munmap(core->blocks, blocks_bytes(core));
	oh_ring_free(&core->disk);
	oh_ring_free(&core->blocks_back);
}

int oh_recording_open(struct oh_recording **recording, const char *caller_path, const char *agent_path,
                      uint32_t rate_hz)
{
	struct oh_recording *made = calloc(1, sizeof(*made));
	int64_t              now_ns = oh_now_ns();
	int                  error;

	if (made == NULL)
		return -ENOMEM;
	error = oh_track_open(&made->tracks[0], caller_path, rate_hz, now_ns);
	if (error == 0) {
		error = oh_track_open(&made->tracks[1], agent_path, rate_hz, now_ns);
		if (error < 0) {
			(void)oh_track_close(&made->tracks[0]);
			(void)unlink(caller_path);
		}
	}
	if (error < 0) {
		free(made);
		return error;
	}
	made->rate_hz = rate_hz;
	*recording = made;
	return 0;
}

void oh_recording_abandon(struct oh_recording *recording)
{
	(void)oh_track_close(&recording->tracks[0]);
	(void)oh_track_close(&recording->tracks[1]);
	free(recording);
}

/* --- media thread */

void oh_disk_wake(struct oh_core *core, bool now)
{
	uint64_t one = 1;
	/* A change of nothing, so that it comes after what was put into the ring: a mere look might not. */
	uint32_t until = atomic_fetch_or(&core->disk_until, 0);

	if (until == 0 || (!now && oh_ring_used(&core->disk) < until))
		return;
	if (atomic_exchange(&core->disk_until, 0) != 0 && write(core->disk_fd, &one, sizeof(one)) < 0)
		return; /* full: it has been woken often enough */
}

/* A block to fill: one that has been written, as long as there are any, so that no more memory is gone over than need be. */
static bool take_block(struct oh_core *core, uint32_t *block)
{
	const uint32_t *back = oh_ring_peek(&core->blocks_back);

	if (back != NULL) {
		*block = *back;
		oh_ring_release(&core->blocks_back);
		return true;
	}
	if (core->fresh_blocks == core->block_count)
		return false;
	*block = core->fresh_blocks++;
	return true;
}

void oh_recording_near(const struct oh_port *port, uint32_t track)
{
	const struct oh_pending *pending;
	const char              *next;

	if (port->recording == NULL)
		return;
	pending = &port->recording->pending[track];
	if (pending->n == 0)
		return;
	next = (const char *)(port->core->blocks[pending->block] + pending->n);
	for (size_t at = 0; at < NEAR_BYTES; at += CACHE_LINE)
		__builtin_prefetch(next + at, 1);
}

static void drop(struct oh_port *port, size_t n)
{
	struct oh_recording *recording = port->recording;

	port->core->counters.disk_drops++;
	port->counters.record_dropped += n * 8000u / recording->rate_hz;
	if (!recording->choking)
		oh_event_media(port->core, port, OH_EVENT_RECORD_FAILED, port->clock, 0, 0, 0,
		               "the disk is too slow for what is being recorded");
	recording->choking = true;
}

static void push(struct oh_port *port, uint32_t track)
{
	struct oh_core      *core = port->core;
	struct oh_recording *recording = port->recording;
	struct oh_pending   *pending = &recording->pending[track];
	struct oh_errand    *errand;

	if (pending->n == 0)
		return;
	errand = oh_ring_claim(&core->disk);
	assert(errand != NULL); /* ends of recordings leave room for all blocks */
	*errand = (struct oh_errand){.recording = recording,
	                             .at = pending->at,
	                             .n = pending->n,
	                             .block = pending->block,
	                             .track = (uint8_t)track};
	oh_ring_publish(&core->disk);
	core->told_disk = true;
	pending->n = 0;
	if (recording->choking && oh_ring_used(&core->disk) < core->block_count / 2u) {
		recording->choking = false;
		oh_event_media(core, port, OH_EVENT_RECORD_RESUMED, port->clock, 0, 0, 0, NULL);
	}
}

/* Gather n samples of the track's own rate and place. */
static void gather(struct oh_port *port, uint32_t track, int64_t at, const int16_t *pcm, size_t n)
{
	struct oh_pending *pending;

	if (at < 0) { /* said before the port opened */
		if (at + (int64_t)n <= 0)
			return;
		pcm += -at;
		n -= (size_t)-at;
		at = 0;
	}
	pending = &port->recording->pending[track];
	if (pending->n > 0 && pending->at + pending->n != (uint64_t)at)
		push(port, track);
	while (n > 0) {
		size_t part = OH_BLOCK - ((uint64_t)at + BEFORE) % OH_BLOCK; /* to the end of a page of the file */

		if (pending->n == 0) {
			if (!take_block(port->core, &pending->block)) {
				drop(port, n);
				return;
			}
			pending->at = (uint64_t)at;
		}
		if (part > n)
			part = n;
		memcpy(port->core->blocks[pending->block] + pending->n, pcm, part * sizeof(int16_t));
		pending->n += (uint32_t)part;
		pcm += part;
		at += (int64_t)part;
		n -= part;
		if (((uint64_t)at + BEFORE) % OH_BLOCK == 0)
			push(port, track);
	}
}

/*
 * Sound of another rate than the track's (the codec changed since it was begun). What continues the sound before goes on
 * in its filter, and lies earlier by the filter's delay; all else begins anew.
 */
static void recode(struct oh_port *port, uint32_t track, int64_t at, const int16_t *pcm, size_t n, uint32_t rate_hz)
{
	struct oh_recoded *recoded = &port->recording->recoded[track];
	const int64_t      each = OH_SLOT_RATE_HZ / rate_hz;

	if (at != recoded->next) {
		oh_up_init(&recoded->up);
		oh_down_init(&recoded->down);
		at &= ~(int64_t)1; /* on a sample at 8 kHz */
	}
	while (n > 0) {
		int16_t other[2u * OH_FRAME];
		size_t  part = n < OH_FRAME ? n : OH_FRAME;

		if (rate_hz == 8000u) {
			oh_up_run(&recoded->up, pcm, part, other);
			gather(port, track, at - (int64_t)OH_RESAMPLE_DELAY, other, 2u * part);
		} else {
			gather(port, track, (at - (int64_t)OH_RESAMPLE_DELAY - 1) / 2, other,
			       oh_down_run(&recoded->down, pcm, part, other));
		}
		at += (int64_t)part * each;
		pcm += part;
		n -= part;
	}
	recoded->next = at;
}

void oh_recording_put(struct oh_port *port, uint32_t track, int64_t at, const int16_t *pcm, size_t n, uint32_t rate_hz)
{
	if (port->recording == NULL || port->recording->paused)
		return;
	if (rate_hz == port->recording->rate_hz)
		gather(port, track, rate_hz == OH_SLOT_RATE_HZ ? at : (at - (at & 1)) / 2, pcm, n);
	else
		recode(port, track, at, pcm, n, rate_hz);
}

/* The port's media clock, in samples of its tracks. */
static int64_t track_clock(const struct oh_port *port)
{
	return port->clock * (port->recording->rate_hz / 8000u);
}

void oh_recording_tick(struct oh_port *port)
{
	if (port->recording == NULL)
		return;
	for (uint32_t track = 0; track < 2; track++) {
		struct oh_pending *pending = &port->recording->pending[track];

		if (pending->n > 0 && track_clock(port) - (int64_t)pending->at >= (int64_t)OH_BLOCK_WAIT)
			push(port, track);
	}
}

void oh_recording_end(struct oh_port *port)
{
	struct oh_recording *recording = port->recording;

	if (recording == NULL)
		return;
	push(port, 0);
	push(port, 1);
	recording->end = (uint64_t)track_clock(port);
	recording->next_closing = port->core->closing;
	port->core->closing = recording;
	port->recording = NULL;
	(void)oh_recording_flush_closing(port->core);
}

bool oh_recording_flush_closing(struct oh_core *core)
{
	while (core->closing != NULL) {
		struct oh_errand *errand;

		if (oh_ring_used(&core->disk) >= core->block_count)
			return false;
		errand = oh_ring_claim(&core->disk);
		*errand = (struct oh_errand){.recording = core->closing, .close = true, .at = core->closing->end};
		core->closing = core->closing->next_closing;
		oh_ring_publish(&core->disk); /* from here on the recording is the disk thread's */
		core->told_end = true;
	}
	return true;
}

/* --- disk thread */

struct disk {
	struct oh_core      *core;
	struct oh_recording *recordings; /* those that are open */
};

static void judge(struct oh_core *core, struct oh_recording *recording, uint32_t track, int error)
{
	static const char *names[2] = {"caller", "agent"};
	const char        *reason = strerrordesc_np(-error);
	char               why[OH_EVENT_TEXT];
	bool               other = recording->failing[1u - track];
	bool               before = recording->failing[track];

	recording->failing[track] = error != 0;
	if (other || before == (error != 0)) /* told already, or nothing to tell */
		return;
	if (error == 0) {
		oh_event_disk(core, recording, OH_EVENT_RECORD_RESUMED, NULL);
		return;
	}
	(void)snprintf(why, sizeof(why), "%s track: %s", names[track], reason == NULL ? "unknown error" : reason);
	oh_event_disk(core, recording, OH_EVENT_RECORD_FAILED, why);
}

static void finish(struct disk *disk, struct oh_recording *recording, uint64_t samples)
{
	for (uint32_t track = 0; track < 2; track++) {
		int error = oh_track_extend(&recording->tracks[track], samples);
		int closed = oh_track_close(&recording->tracks[track]);

		if (error == 0)
			error = closed;
		judge(disk->core, recording, track, error);
	}
	for (struct oh_recording **place = &disk->recordings; *place != NULL; place = &(*place)->next) {
		if (*place == recording) {
			*place = recording->next;
			break;
		}
	}
	oh_event_disk(disk->core, recording, OH_EVENT_RECORD_CLOSED, NULL);
	free(recording);
}

static void work(struct disk *disk, const struct oh_errand *errand)
{
	struct oh_core      *core = disk->core;
	struct oh_recording *recording = errand->recording;
	uint32_t            *back;

	if (!recording->listed) {
		recording->listed = true;
		recording->next = disk->recordings;
		disk->recordings = recording;
	}
	if (errand->close) {
		finish(disk, recording, errand->at);
		return;
	}
	judge(core, recording, errand->track,
	      oh_track_write(&recording->tracks[errand->track], errand->at, core->blocks[errand->block], errand->n,
	                     oh_now_ns()));
	back = oh_ring_claim(&core->blocks_back);
	assert(back != NULL); /* it has room for all there are */
	*back = errand->block;
	oh_ring_publish(&core->blocks_back);
}

static void refresh(struct disk *disk)
{
	int64_t now_ns = oh_now_ns();

	for (struct oh_recording *recording = disk->recordings; recording != NULL; recording = recording->next) {
		for (uint32_t track = 0; track < 2; track++)
			(void)oh_track_refresh(&recording->tracks[track], now_ns);
	}
}

/* Until there is something to do. Where calls are being recorded there is something every moment, and soon enough is
 * late enough: each time it wakes costs more than what it does. */
static void rest(struct disk *disk)
{
	struct oh_core *core = disk->core;
	struct pollfd   wait = {.fd = core->disk_fd, .events = POLLIN};
	bool            recording = disk->recordings != NULL;
	uint64_t        count;

	atomic_store(&core->disk_until, recording ? OH_DISK_BATCH : 1u);
	/* Look once more: what came before that stood woke nobody. */
	if (oh_ring_peek(&core->disk) == NULL && poll(&wait, 1, recording ? OH_DISK_DOZE_MS : 500) > 0 &&
	    read(core->disk_fd, &count, sizeof(count)) < 0)
		count = 0;
	atomic_store(&core->disk_until, 0);
}

void *oh_disk_main(void *arg)
{
	struct oh_core *core = arg;
	struct disk     disk = {.core = core};
	int64_t         refreshed_ns = oh_now_ns();

	(void)prctl(PR_SET_NAME, "oh-disk");
	for (;;) {
		struct oh_errand *errand = oh_ring_peek(&core->disk);

		if (errand != NULL) {
			work(&disk, errand);
			oh_ring_release(&core->disk);
		} else if (atomic_load(&core->disk_stop)) {
			break;
		} else {
			rest(&disk);
		}
		if (oh_now_ns() - refreshed_ns >= OH_TRACK_REFRESH_NS / 2) {
			refresh(&disk);
			oh_prompts_free(core);
			refreshed_ns = oh_now_ns();
		}
	}
	return NULL;
}
