/*
 * recode.c - a port hears another codec: what it decodes by, what it will decode by, and the moment between.
 *
 * Signalling says that the far end's packets will be of another codec; until the first of them those of the old one still
 * come, and are decoded as before. Both times something is left over, a decoder and, in a room, a playout buffer. They go
 * back to whoever brings the next ones, or wait for the port's end: nothing is freed on the way of a packet.
 */
#include "command.h"
#include "engine.h"
#include "oh_amiss.h"
#include "seat.h"

static void swap_playouts(struct oh_playout **one, struct oh_playout **other)
{
	struct oh_playout *between = *one;

	*one = *other;
	*other = between;
}

void oh_recode_agree(struct oh_port *port, struct oh_codecs *codecs)
{
	struct oh_recode *recode = &port->recode;
	struct oh_decoder before = recode->decoder;
	uint8_t           pt = port->remote.audio_pt;

	recode->pending = false;
	if (port->listen.decoder.codec == codecs->decoder.codec) {
		recode->pt = pt;
		return;
	}
	recode->decoder = codecs->decoder;
	codecs->decoder = before;
	if (port->seat != NULL)
		swap_playouts(&recode->playout, &codecs->playout);
	recode->pending = true;
	if (!port->started || pt == recode->pt) /* nothing was heard yet, or nothing tells the two apart */
		oh_recode_now(port);
}

void oh_recode_now(struct oh_port *port)
{
	struct oh_recode *recode = &port->recode;
	uint32_t          before_hz = oh_codec_clock_hz(port->listen.decoder.codec), clock_hz;

	if (!recode->pending)
		return;
	oh_listen_codec(&port->listen, &recode->decoder);
	if (port->seat != NULL && !OH_AMISS(recode->playout == NULL))
		recode->playout = oh_seat_recode(port, recode->playout, port->listen.decoder.codec);
	recode->pending = false;
	recode->pt = port->remote.audio_pt;
	clock_hz = oh_codec_clock_hz(port->listen.decoder.codec);
	if (clock_hz == before_hz)
		return;
	/* Jitter is kept, in the new clock's ticks; what was in transit by the old one says nothing. */
	port->source.jitter_16 = (uint32_t)((uint64_t)port->source.jitter_16 * clock_hz / before_hz);
	port->source.timed = false;
}

void oh_recode_free(struct oh_port *port)
{
	oh_playout_close(port->recode.playout);
	oh_decoder_close(&port->recode.decoder);
}
