/*
 * play.c - the playing path: what one packet says, and how it leaves.
 *
 * Digits go before a prompt, a prompt before the room or, outside of one, the slot. A slot that has to wait is not read, so
 * that nothing is lost; it goes on where it stopped. A room goes on meanwhile.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"
#include "seat.h"

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

	oh_seat_rate(port);
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
	bool           in_room = port->seat != NULL && port->seat->entry->count > 1;
	int16_t        mix[OH_FRAME];
	bool           mixed = in_room && oh_seat_hear(port, mix, n); /* heard or not: a room waits for nobody */
	size_t         said = oh_prompt_say(port, pcm, n);

	if (said == 0 && mixed) {
		memcpy(pcm, mix, n * sizeof(*pcm));
		said = n;
	}
	if (said == 0 && !in_room)
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
