/*
 * play.c - the playing path: what one packet says, and how it leaves.
 *
 * Digits go before a prompt, a prompt before the bridge, the bridge before the slot. What has to wait is not read and
 * so not lost; it goes on where it stopped.
 */
#include <assert.h>
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
	oh_up_init(&bridge->up);
	oh_down_init(&bridge->down);
}

void oh_bridge_join(struct oh_port *one, struct oh_port *other)
{
	oh_bridge_leave(one);
	oh_bridge_leave(other);
	reset(&one->bridge, other);
	reset(&other->bridge, one);
}

static void queue(struct oh_bridge *bridge, const int16_t *pcm, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bridge->queue[(bridge->written + i) % OH_BRIDGE_RING] = pcm[i];
	bridge->written += n;
}

/* Queue it at the other rate than it has. */
static void queue_resampled(struct oh_bridge *bridge, const int16_t *pcm, size_t n, uint32_t rate_hz)
{
	while (n > 0) {
		int16_t other[2u * OH_FRAME];
		size_t  part = n < OH_FRAME ? n : OH_FRAME;

		if (rate_hz == 8000u) {
			oh_up_run(&bridge->up, pcm, part, other);
			queue(bridge, other, 2u * part);
		} else {
			queue(bridge, other, oh_down_run(&bridge->down, pcm, part, other));
		}
		pcm += part;
		n -= part;
	}
}

void oh_bridge_push(struct oh_port *to, const int16_t *pcm, size_t n, uint32_t rate_hz)
{
	struct oh_bridge *bridge = &to->bridge;
	const uint32_t    per_ms = oh_port_per_ms(to);

	if (rate_hz == 1000u * per_ms)
		queue(bridge, pcm, n);
	else
		queue_resampled(bridge, pcm, n, rate_hz);
	if (bridge->written - bridge->read > OH_BRIDGE_MOST_MS * per_ms) /* too much delay: the oldest goes */
		bridge->read = bridge->written - OH_BRIDGE_TARGET_MS * per_ms;
}

/* What waits has this rate, and the port says another one from here on. */
static void requeue(struct oh_bridge *bridge, uint32_t before_hz)
{
	int16_t waits[OH_BRIDGE_MOST_MS * 16u];
	size_t  n = (size_t)(bridge->written - bridge->read);

	assert(n <= sizeof(waits) / sizeof(*waits));
	for (size_t i = 0; i < n; i++)
		waits[i] = bridge->queue[(bridge->read + i) % OH_BRIDGE_RING];
	oh_up_init(&bridge->up);
	oh_down_init(&bridge->down);
	bridge->read = bridge->written;
	queue_resampled(bridge, waits, n, before_hz);
}

static size_t bridge_say(struct oh_bridge *bridge, int16_t *out, size_t n, uint32_t per_ms)
{
	uint64_t ready = bridge->written - bridge->read;
	size_t   part;

	if (!bridge->playing && ready < OH_BRIDGE_TARGET_MS * per_ms)
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

static size_t voice_say(struct oh_port *port, int16_t *out, size_t n, uint32_t per_ms)
{
	int16_t wide[OH_FRAME];
	bool    sound = false;

	if (1000u * per_ms == OH_SLOT_RATE_HZ)
		return oh_voice_ready(&port->voice) && oh_voice_say(port, out, n) ? n : 0;
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

static uint32_t timestamp_of(const struct oh_port *port)
{
	return port->ts_base + (uint32_t)port->clock * oh_port_ticks(port);
}

static bool press(struct oh_port *port, size_t n, int64_t due_ns)
{
	struct oh_digits_packet packet;
	struct oh_rtp           head = {.ssrc = port->ssrc, .payload_type = (uint8_t)port->remote.digits_pt};
	_Alignas(4) uint8_t     data[OH_RTP_HEADER + OH_DIGITS_PAYLOAD + OH_SRTP_TRAILER];

	if (port->remote.digits_pt < 0 ||
	    oh_digits_out_tick(&port->digits_out, timestamp_of(port), (uint32_t)n, port->remote.digits_rate_hz,
	                       &packet) == 0)
		return false;
	head.seq = port->seq++;
	head.timestamp = packet.timestamp;
	head.marker = packet.marker;
	(void)oh_rtp_build(data, sizeof(data), &head);
	memcpy(data + OH_RTP_HEADER, packet.payload, OH_DIGITS_PAYLOAD);
	post(port, data, OH_RTP_HEADER + OH_DIGITS_PAYLOAD, due_ns);
	return true;
}

void oh_play_rate(struct oh_port *port, uint32_t before_hz)
{
	const uint32_t per_ms = oh_port_per_ms(port);

	requeue(&port->bridge, before_hz);
	oh_down_init(&port->down);
	port->down_busy = false;
	port->playing.tail_n = 0;
	port->fades_in = 1000u * per_ms != before_hz && port->sounding;
}

/* From silence to its level, so that what begins amid a sound does not click. */
static void fade_in(int16_t *pcm, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pcm[i] = (int16_t)(pcm[i] * (int32_t)i / (int32_t)n);
}

/* What this packet says, n samples of it; how many of them are more than comfort noise. */
static size_t say(struct oh_port *port, int16_t *pcm, size_t n)
{
	const uint32_t per_ms = oh_port_per_ms(port);
	size_t         said = oh_prompt_say(port, pcm, n);

	if (said == 0 && port->bridge.peer != NULL)
		said = bridge_say(&port->bridge, pcm, n, per_ms);
	if (said == 0)
		said = voice_say(port, pcm, n, per_ms);
	if (port->fades_in)
		fade_in(pcm, said < OH_FADE_IN_MS * per_ms ? said : OH_FADE_IN_MS * per_ms);
	port->fades_in = false;
	return said;
}

void oh_play_packet(struct oh_port *port, int64_t due_ns)
{
	const uint32_t per_ms = oh_port_per_ms(port);
	size_t         n = (size_t)port->remote.packet_ms * per_ms;
	int16_t        pcm[OH_FRAME];
	_Alignas(4) uint8_t data[OH_RTP_HEADER + OH_CODEC_PAYLOAD_MAX + OH_SRTP_TRAILER];
	struct oh_rtp  head = {.ssrc = port->ssrc, .payload_type = port->remote.audio_pt};
	size_t         said = 0;
	int            len;

	if (port->pressing) {
		bool left = press(port, n / (per_ms / 8u), due_ns);

		if (!oh_digits_out_busy(&port->digits_out)) {
			port->pressing = false;
			oh_event_media(port->core, port, OH_EVENT_DIGITS_SENT, port->clock + (int64_t)(n / (per_ms / 8u)), 0,
			               0, 0, NULL);
		}
		port->sounding = false;
		if (left)
			return;
	} else {
		said = say(port, pcm, n);
	}
	if (said > 0)
		oh_recording_put(port, 1, 2 * port->clock, pcm, said, 1000u * per_ms);
	if (said < n)
		oh_comfort_fill(&port->comfort, pcm + said, n - said);
	len = oh_encode(&port->encoder, pcm, n, data + OH_RTP_HEADER,
	                sizeof(data) - OH_RTP_HEADER - OH_SRTP_TRAILER);
	if (len <= 0) { /* a silence that need not be sent; the far end knows by the next packet's timestamp */
		port->paused_sending = true;
		port->sounding = false;
		return;
	}
	head.marker = port->paused_sending || (said > 0 && !port->sounding);
	head.seq = port->seq++;
	head.timestamp = timestamp_of(port);
	(void)oh_rtp_build(data, sizeof(data), &head);
	port->sounding = said > 0;
	port->paused_sending = false;
	post(port, data, OH_RTP_HEADER + (size_t)len, due_ns);
}
