/*
 * play.c - the playing path: what one packet says, and how it leaves.
 *
 * Digits go before a prompt, a prompt before the bridge, the bridge before the slot. What has to wait is not read and
 * so not lost; it goes on where it stopped.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"

/* --- the bridge's queue */

void oh_bridge_leave(struct oh_port *port)
{
	struct oh_port *peer = port->bridge.peer;

	if (peer == NULL)
		return;
	port->bridge.peer = NULL;
	peer->bridge.peer = NULL;
}

static void reset(struct oh_bridge *bridge, struct oh_port *peer)
{
	bridge->peer = peer;
	bridge->written = 0;
	bridge->read = 0;
	bridge->playing = false;
}

void oh_bridge_join(struct oh_port *one, struct oh_port *other)
{
	oh_bridge_leave(one);
	oh_bridge_leave(other);
	reset(&one->bridge, other);
	reset(&other->bridge, one);
}

void oh_bridge_push(struct oh_port *to, const int16_t *pcm, size_t n)
{
	struct oh_bridge *bridge = &to->bridge;

	for (size_t i = 0; i < n; i++)
		bridge->queue[(bridge->written + i) % OH_BRIDGE_RING] = pcm[i];
	bridge->written += n;
	if (bridge->written - bridge->read > OH_BRIDGE_MOST) /* too much delay: the oldest goes */
		bridge->read = bridge->written - OH_BRIDGE_TARGET;
}

static size_t bridge_say(struct oh_bridge *bridge, int16_t *out, size_t n)
{
	uint64_t ready = bridge->written - bridge->read;
	size_t   part;

	if (!bridge->playing && ready < OH_BRIDGE_TARGET)
		return 0;
	bridge->playing = true;
	part = ready < n ? (size_t)ready : n;
	for (size_t i = 0; i < part; i++)
		out[i] = bridge->queue[(bridge->read + i) % OH_BRIDGE_RING];
	bridge->read += part;
	if (part < n) /* ran dry: gather the target's worth anew */
		bridge->playing = false;
	return part;
}

/* --- the slot */

static size_t voice_say(struct oh_port *port, int16_t *out, size_t n)
{
	int16_t wide[2u * OH_FRAME];
	bool    sound = false;

	if (oh_voice_ready(&port->voice))
		sound = oh_voice_say(port, wide, 2u * n);
	else
		memset(wide, 0, 2u * n * sizeof(int16_t));
	if (!sound && !port->down_busy)
		return 0;
	(void)oh_down_run(&port->down, wide, 2u * n, out);
	port->down_busy = sound; /* one silent packet more empties the filter */
	return n;
}

/* --- the packet */

/* `packet` has OH_SRTP_TRAILER bytes of room behind it. */
static void post(struct oh_port *port, uint8_t *packet, size_t len, int64_t due_ns)
{
	int     sealed = oh_port_seal(port, packet, len, len + OH_SRTP_TRAILER, false);
	ssize_t sent = -1;

	if (port->seq == 0) /* this one had the last number */
		port->wrapped = true;
	if (sealed >= 0)
		sent = sendto(port->rtp_fd, packet, (size_t)sealed, MSG_DONTWAIT | MSG_NOSIGNAL,
		              (const struct sockaddr *)&port->to, sizeof(port->to));
	oh_pacing_add(&port->core->pacing, oh_now_ns() - due_ns);
	if (sent < 0) {
		port->counters.send_errors++;
		return;
	}
	port->counters.packets_out++;
	port->counters.bytes_out += (uint64_t)sent;
	port->payload_out += len - OH_RTP_HEADER;
	port->core->counters.packets_out++;
}

static bool press(struct oh_port *port, size_t n, int64_t due_ns)
{
	struct oh_digits_packet packet;
	struct oh_rtp           head = {.ssrc = port->ssrc, .payload_type = (uint8_t)port->remote.digits_pt};
	_Alignas(4) uint8_t     data[OH_RTP_HEADER + OH_DIGITS_PAYLOAD + OH_SRTP_TRAILER];

	if (port->remote.digits_pt < 0 ||
	    oh_digits_out_tick(&port->digits_out, port->ts_base + (uint32_t)port->clock, (uint32_t)n, &packet) == 0)
		return false;
	head.seq = port->seq++;
	head.timestamp = packet.timestamp;
	head.marker = packet.marker;
	(void)oh_rtp_build(data, sizeof(data), &head);
	memcpy(data + OH_RTP_HEADER, packet.payload, OH_DIGITS_PAYLOAD);
	post(port, data, OH_RTP_HEADER + OH_DIGITS_PAYLOAD, due_ns);
	return true;
}

void oh_play_packet(struct oh_port *port, int64_t due_ns)
{
	size_t        n = (size_t)port->remote.packet_ms * 8u;
	int16_t       pcm[OH_FRAME];
	_Alignas(4) uint8_t data[OH_RTP_HEADER + OH_FRAME + OH_SRTP_TRAILER];
	struct oh_rtp head = {.ssrc = port->ssrc, .payload_type = port->remote.audio_pt};
	size_t        said = 0;

	if (port->pressing) {
		bool left = press(port, n, due_ns);

		if (!oh_digits_out_busy(&port->digits_out)) {
			port->pressing = false;
			oh_event_media(port->core, port, OH_EVENT_DIGITS_SENT, port->clock + (int64_t)n, 0, 0, 0, NULL);
		}
		port->sounding = false;
		if (left)
			return;
	} else {
		said = oh_prompt_say(port, pcm, n);
		if (said == 0 && port->bridge.peer != NULL)
			said = bridge_say(&port->bridge, pcm, n);
		if (said == 0)
			said = voice_say(port, pcm, n);
	}
	if (said > 0)
		oh_recording_put(port, 1, port->clock, pcm, said);
	if (said < n)
		oh_comfort_fill(&port->comfort, pcm + said, n - said);
	head.marker = port->paused_sending || (said > 0 && !port->sounding);
	head.seq = port->seq++;
	head.timestamp = port->ts_base + (uint32_t)port->clock;
	(void)oh_rtp_build(data, sizeof(data), &head);
	oh_g711_encode(port->remote.alaw ? OH_ALAW : OH_ULAW, pcm, data + OH_RTP_HEADER, n);
	port->sounding = said > 0;
	port->paused_sending = false;
	post(port, data, OH_RTP_HEADER + n, due_ns);
}
