/*
 * events.c - what happened on ports, on its way to whoever runs the calls.
 *
 * One ring for each thread that reports, so that neither locks; a full ring drops the event and counts it. The last
 * quarter of a ring is kept for events that somebody waits for: a call that never learns that its prompt is over
 * would stand still for ever.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

static bool awaited(enum oh_event_kind kind)
{
	return kind == OH_EVENT_PROMPT_DONE || kind == OH_EVENT_DIGITS_SENT || kind == OH_EVENT_RECORD_CLOSED;
}

static struct oh_event *claim(struct oh_core *core, struct oh_ring *ring, enum oh_event_kind kind, uint32_t port,
                              int64_t clock, const char *text)
{
	bool             room = awaited(kind) || oh_ring_used(ring) < OH_EVENT_RING / 4u * 3u;
	struct oh_event *event = room ? oh_ring_claim(ring) : NULL;

	if (event == NULL) {
		atomic_fetch_add_explicit(&core->events_dropped, 1, memory_order_relaxed);
		return NULL;
	}
	memset(event, 0, sizeof(*event));
	event->kind = (uint32_t)kind;
	event->port = port;
	event->clock = clock;
	if (text != NULL)
		(void)snprintf(event->text, sizeof(event->text), "%s", text);
	return event;
}

void oh_event_media(struct oh_core *core, const struct oh_port *port, enum oh_event_kind kind, int64_t clock, int64_t a,
                    int64_t b, int64_t c, const char *text)
{
	struct oh_event *event = claim(core, &core->media_events, kind, port->number, clock, text);

	if (event == NULL)
		return;
	event->a = a;
	event->b = b;
	event->c = c;
	oh_ring_publish(&core->media_events);
	core->told_events = true;
}

void oh_event_quality(struct oh_core *core, const struct oh_port *port, int64_t ms, const struct oh_quality *quality)
{
	struct oh_event *event = claim(core, &core->media_events, OH_EVENT_QUALITY, port->number, port->clock, NULL);

	if (event == NULL)
		return;
	event->a = ms;
	event->quality = *quality;
	oh_ring_publish(&core->media_events);
	core->told_events = true;
}

void oh_event_disk(struct oh_core *core, const struct oh_recording *recording, enum oh_event_kind kind,
                   const char *text)
{
	int64_t clock = (oh_now_ns() - recording->opened_ns) / 125000;

	if (claim(core, &core->disk_events, kind, recording->port, clock, text) == NULL)
		return;
	oh_ring_publish(&core->disk_events);
	oh_event_wake(core);
}

void oh_event_wake(struct oh_core *core)
{
	uint64_t one = 1;

	/* The counter can only be full if nobody reads; then they are awake already. */
	if (write(core->event_fd, &one, sizeof(one)) < 0)
		return;
}

int oh_core_event_fd(const struct oh_core *core)
{
	return core->event_fd;
}

/* Before looking: what is published after this wakes the reader again. */
void oh_event_begin(struct oh_core *core)
{
	uint64_t count;

	if (read(core->event_fd, &count, sizeof(count)) < 0)
		return;
}

void oh_event_end(struct oh_core *core)
{
	if (oh_ring_used(&core->media_events) > 0 || oh_ring_used(&core->disk_events) > 0 ||
	    oh_ring_used(&core->datagrams_up) > 0)
		oh_event_wake(core);
}

size_t oh_core_events(struct oh_core *core, struct oh_event *out, size_t most)
{
	struct oh_ring  *rings[] = {&core->media_events, &core->disk_events};
	struct oh_event *event;
	size_t           n = 0;

	oh_event_begin(core);
	for (size_t i = 0; i < 2; i++) {
		while (n < most && (event = oh_ring_peek(rings[i])) != NULL) {
			out[n++] = *event;
			oh_ring_release(rings[i]);
		}
	}
	oh_event_end(core);
	return n;
}
