/*
 * hear.c - where the listening path's frames go: the slot, the caller's track.
 */
#include <stdint.h>
#include <string.h>

#include "engine.h"

/* Where the stream's sample 0 lies on the media clock. `at` is the frame's place in the stream; `expect` is where its
 * first sample would lie by its arrival alone: a frame ends when it arrives. All at 16 kHz. */
static void anchor(struct oh_anchor *anchor, const struct oh_listen_frame *frame, int64_t at, int64_t expect)
{
	int64_t delay;

	if (!anchor->set || frame->restarted) {
		anchor->at = expect - at;
		anchor->set = true;
		anchor->packets = 0;
		anchor->least = INT64_MAX;
	}
	delay = expect - (anchor->at + at);
	if (delay < -OH_ANCHOR_SLACK) { /* arrived before it was said: the mapping is wrong */
		anchor->at += delay;
		anchor->packets = 0;
		anchor->least = INT64_MAX;
		return;
	}
	if (delay < anchor->least)
		anchor->least = delay;
	if (++anchor->packets < OH_ANCHOR_PACKETS)
		return;
	/* One late packet is the network's doing; when all are late the clocks have drifted apart. */
	if (anchor->least > OH_ANCHOR_SLACK)
		anchor->at += anchor->least;
	anchor->packets = 0;
	anchor->least = INT64_MAX;
}

void oh_hear_frame(void *arg, const struct oh_listen_frame *frame)
{
	struct oh_port *port = arg;
	const int64_t   each = OH_SLOT_RATE_HZ / frame->rate_hz; /* samples at 16 kHz for one of the frame's */

	if (oh_listen_live(frame->kind))
		oh_voice_hear(port, frame->pcm, frame->n, frame->rate_hz, frame->kind);
	if (frame->kind == OH_HEARD || frame->kind == OH_SKIPPED) /* a packet that arrived just now, or waited for 40 ms */
		anchor(&port->anchor, frame, frame->at * each,
		       (port->now_ns - port->opened_ns) / 62500 - (int64_t)frame->n * each);
	/* What nobody knows stays a hole, and so does the silence that the caller chose. */
	if (port->anchor.set && frame->kind != OH_MISSING && frame->kind != OH_COMFORT)
		oh_recording_put(port, 0, port->anchor.at + frame->at * each, frame->pcm, frame->n, frame->rate_hz);
}

void oh_hear_tick(struct oh_port *port, uint32_t samples)
{
	static const int16_t silence[2u * OH_PHASES * OH_SLOT_SAMPLES];
	const uint32_t       rate_hz = oh_codec_rate_hz(port->listen.decoder.codec);

	oh_listen_tick(&port->listen, port->now_ns);
	/* Before the first packet the buffer has no clock of its own, but the slot's reader needs one. */
	if (oh_listen_due_ns(&port->listen) == INT64_MAX)
		oh_voice_hear(port, silence, samples * (rate_hz / 8000u), rate_hz, OH_MISSING);
}
