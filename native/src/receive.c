/*
 * receive.c - what arrives on a port's two sockets, and whom it is believed to come from.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"
#include "seat.h"

static void moved(struct oh_port *port, const struct sockaddr_in *from, const struct oh_rtp *rtp)
{
	bool address = !port->started || port->to.sin_addr.s_addr != from->sin_addr.s_addr ||
	               port->to.sin_port != from->sin_port;
	char text[INET_ADDRSTRLEN];

	if (!port->have_source || port->source.ssrc != rtp->ssrc) {
		oh_rtcp_source_init(&port->source, rtp->ssrc, rtp->seq);
		port->have_source = true;
	}
	if (!address)
		return;
	if (port->to.sin_addr.s_addr != from->sin_addr.s_addr || port->to.sin_port != from->sin_port) {
		uint16_t rtp_port = ntohs(from->sin_port);

		port->rtcp_to.sin_addr = from->sin_addr;
		port->rtcp_to.sin_port = port->remote.rtcp_mux ? from->sin_port
		                         : rtp_port == UINT16_MAX || port->rtcp_fd < 0 ? 0
		                                                  : htons((uint16_t)(rtp_port + 1u));
		port->to.sin_addr = from->sin_addr;
		port->to.sin_port = from->sin_port;
	}
	if (inet_ntop(AF_INET, &from->sin_addr, text, sizeof(text)) == NULL)
		text[0] = '\0';
	oh_event_media(port->core, port, OH_EVENT_MEDIA_STARTED, (port->now_ns - port->opened_ns) / 125000,
	               ntohs(from->sin_port), 0, 0, text);
	port->started = true;
	port->lost = false;
}

/* More than one each `least_ns`, beyond a burst's worth? Nobody's telephone: it is dropped, lest it cost the others. */
static bool flood(int64_t *free_ns, int64_t now_ns, int64_t least_ns, int64_t burst_ns)
{
	if (*free_ns > now_ns)
		return true;
	if (*free_ns < now_ns - burst_ns)
		*free_ns = now_ns - burst_ns;
	*free_ns += least_ns;
	return false;
}

/* A key was pressed and is released, at the port's `now_ns`. */
void oh_digit_heard(struct oh_port *port, const struct oh_digit *digit)
{
	if (flood(&port->digit_free_ns, port->now_ns, OH_DIGIT_LEAST_NS, OH_DIGIT_BURST_NS)) {
		port->counters.bad++;
		return;
	}
	oh_event_media(port->core, port, OH_EVENT_DIGIT, (port->now_ns - port->opened_ns) / 125000, digit->key,
	               (int64_t)digit->duration_ms * 8, 0, NULL);
}

static void receive_digits(struct oh_port *port, const struct oh_rtp *rtp)
{
	struct oh_digit digits[2];
	int             n;

	if (port->digits_ssrc != rtp->ssrc) { /* timestamps of another stream; what was being pressed is over */
		if (oh_digits_in_tick(&port->digits_in, INT64_MAX, &digits[0]) == 1)
			oh_digit_heard(port, &digits[0]);
		oh_digits_in_init(&port->digits_in, port->remote.digits_rate_hz);
		port->digits_ssrc = rtp->ssrc;
	}
	n = oh_digits_receive(&port->digits_in, rtp->payload, rtp->payload_len, rtp->timestamp, port->now_ns, digits);
	for (int i = 0; i < n; i++)
		oh_digit_heard(port, &digits[i]);
	if (n < 0)
		port->counters.bad++;
}

static void receive_rtcp(struct oh_port *port, const struct sockaddr_in *from, uint8_t *data, size_t len)
{
	struct oh_rtcp rtcp;
	uint32_t       expected = port->latch.on ? port->latch.ip : port->latch.signalled;
	int            unsealed;

	if (!port->have_remote || from->sin_addr.s_addr != expected) {
		port->counters.wrong_source++;
		return;
	}
	if (flood(&port->rtcp_free_ns, port->now_ns, OH_RTCP_LEAST_NS, OH_RTCP_BURST_NS)) {
		port->counters.rtcp_dropped++;
		return;
	}
	unsealed = oh_port_unseal(port, data, len, true);
	if (unsealed < 0)
		return;
	if (oh_rtcp_parse(&rtcp, data, (size_t)unsealed) < 0) {
		port->counters.bad++;
		return;
	}
	port->counters.rtcp_in++;
	if (!oh_port_muxed(port))
		port->rtcp_to = *from; /* symmetric RTCP, from an address that is believed */
	oh_quality_told(port, &rtcp);
}

/* For our reports. A digit's packets all carry the timestamp of its start (RFC 4733 2.2), which is no jitter. True where
 * the packet counts. */
static bool count(struct oh_port *port, const struct oh_rtp *rtp, enum oh_listen_content content)
{
	uint32_t clock_hz = oh_codec_clock_hz(port->listen.decoder.codec);
	uint32_t timestamp = rtp->timestamp;

	if (content == OH_CARRIES_OTHER)
		timestamp = port->counted_ts + (uint32_t)((port->now_ns - port->counted_ns) / 125000 * (clock_hz / 8000u));
	port->counted_ts = timestamp;
	port->counted_ns = port->now_ns;
	return oh_rtcp_received(&port->source, rtp->seq, timestamp, clock_hz, port->now_ns) == 1;
}

/* `straggler`: with ICE, it was on its way from the address that was selected before. */
static void receive_rtp(struct oh_port *port, const struct sockaddr_in *from, bool straggler, uint8_t *data, size_t len)
{
	struct oh_listen_packet packet;
	struct oh_rtp           rtp;
	bool                    beside = false; /* digits in a stream of their own: nothing to the voice's clock */
	bool                    counts;
	uint64_t                late = oh_quality_late(port);
	int                     unsealed;

	if (port->have_remote && oh_port_muxed(port) && oh_demux_kind(data, len) == OH_DEMUX_RTCP) {
		receive_rtcp(port, from, data, len);
		return;
	}
	/* Lest a stranger who copies packets, and is quicker, have the real ones dropped as seen before. */
	if (port->have_remote && oh_latch_shuts_out(&port->latch, from->sin_addr.s_addr)) {
		port->counters.wrong_source++;
		return;
	}
	/* Before anything is believed of it. */
	unsealed = oh_port_unseal(port, data, len, false);
	if (unsealed < 0)
		return;
	if (oh_rtp_parse(&rtp, data, (size_t)unsealed) < 0) {
		port->counters.bad++;
		return;
	}
	if (!port->have_remote) {
		port->counters.wrong_source++;
		return;
	}
	if (rtp.payload_type == port->remote.audio_pt || oh_recode_still(port, rtp.payload_type))
		packet.content = OH_CARRIES_AUDIO;
	else if ((int16_t)rtp.payload_type == port->remote.digits_pt)
		packet.content = OH_CARRIES_OTHER;
	else if (rtp.payload_type == OH_PT_COMFORT && oh_codec_clock_hz(port->remote.codec) == 8000u)
		packet.content = OH_CARRIES_COMFORT;
	else {
		port->counters.bad++;
		return;
	}
	switch (oh_latch_judge(&port->latch, from->sin_addr.s_addr, ntohs(from->sin_port), rtp.ssrc, rtp.seq,
	                       packet.content == OH_CARRIES_OTHER, port->now_ns)) {
	case OH_WRONG_SOURCE:
		port->counters.wrong_source++;
		return;
	case OH_WRONG_SSRC:
		port->counters.wrong_ssrc++;
		return;
	case OH_TAKE_MOVED:
		moved(port, from, &rtp);
		break;
	case OH_TAKE_DIGITS:
		beside = true;
		break;
	case OH_TAKE:
		if (!port->started && !straggler) /* ICE has selected another address since, and here it is */
			moved(port, from, &rtp);
		break;
	}
	if (flood(&port->packet_free_ns, port->now_ns, OH_PACKET_LEAST_NS, OH_PACKET_BURST_NS)) {
		port->counters.bad++;
		return;
	}
	port->counters.packets_in++;
	port->counters.bytes_in += len;
	port->core->counters.packets_in++;
	port->heard_ns = port->now_ns;
	if (port->recode.pending && packet.content == OH_CARRIES_AUDIO && !oh_recode_still(port, rtp.payload_type))
		oh_recode_now(port);
	port->quiet = packet.content == OH_CARRIES_COMFORT ||
	              (packet.content == OH_CARRIES_AUDIO &&
	               oh_codec_falls_silent(port->listen.decoder.codec, rtp.payload_len));
	if (port->lost) {
		port->lost = false;
		oh_event_media(port->core, port, OH_EVENT_MEDIA_BACK, (port->now_ns - port->opened_ns) / 125000, 0, 0, 0,
		               NULL);
	}
	if (packet.content == OH_CARRIES_OTHER)
		receive_digits(port, &rtp);
	if (beside)
		return;
	counts = count(port, &rtp, packet.content);
	if (!port->remote.receive) {
		if (counts)
			oh_quality_heard(port, &rtp, false);
		return;
	}
	if (port->seat != NULL)
		oh_seat_put(port, &rtp, packet.content);
	packet.payload = rtp.payload;
	packet.payload_len = rtp.payload_len;
	packet.ssrc = rtp.ssrc;
	packet.timestamp = rtp.timestamp;
	packet.seq = rtp.seq;
	(void)oh_listen_put(&port->listen, &packet, port->now_ns); /* what it refuses, it counts */
	if (counts)
		oh_quality_heard(port, &rtp, oh_quality_late(port) > late);
}

static void overflowed(struct oh_port *port, bool rtcp, struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
		uint32_t seen;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_RXQ_OVFL)
			continue;
		memcpy(&seen, CMSG_DATA(control), sizeof(seen));
		port->core->counters.kernel_drops += seen - port->overflow[rtcp ? 1 : 0];
		port->overflow[rtcp ? 1 : 0] = seen;
	}
}

/* Have the processor fetch what the next datagram of a port will touch, while another port's is worked on. */
void oh_receive_near(const struct oh_port *port)
{
	const struct oh_voice *voice = &port->voice;
	const char            *history = (const char *)port->listen.conceal.history;

	__builtin_prefetch(port->recording);
	__builtin_prefetch(&port->remote, 1);
	__builtin_prefetch(&port->latch, 1);
	__builtin_prefetch(&port->packet_free_ns, 1);
	__builtin_prefetch(&port->source, 1);
	__builtin_prefetch(&port->counters, 1);
	__builtin_prefetch(&port->listen.counters, 1);
	__builtin_prefetch(&port->listen.next_seq, 1);
	__builtin_prefetch(&port->listen.lead, 1);
	__builtin_prefetch(&port->seen.voip, 1);
	__builtin_prefetch(&port->seen.voip.lately, 1);
	__builtin_prefetch(&port->seen.voip.ssrc, 1);
	for (size_t at = 0; at < OH_CONCEAL_HISTORY * sizeof(int16_t); at += 64) /* of a voice at 8 kHz */
		__builtin_prefetch(history + at, 1);
	if (voice->row != NULL) {
		const char *ring = (const char *)(voice->row->listen + voice->heard % OH_RING_SAMPLES);

		__builtin_prefetch(&voice->row->heard, 1);
		for (size_t at = 0; at < 640; at += 64)
			__builtin_prefetch(ring + at, 1);
	}
}

/*
 * One datagram: packets of a call come one by one, and a socket with more of them is told of again, after the others'.
 * So that nobody's flood comes before another's packet.
 */
void oh_receive(struct oh_port *port, bool rtcp)
{
	struct oh_core    *core = port->core;
	struct sockaddr_in from;
	struct iovec       part = {.iov_base = core->datagram, .iov_len = OH_DATAGRAM};
	union {
		struct cmsghdr align;
		char           space[CMSG_SPACE(sizeof(uint32_t))];
	} control;
	struct msghdr message = {
	        .msg_name = &from,
	        .msg_namelen = sizeof(from),
	        .msg_iov = &part,
	        .msg_iovlen = 1,
	        .msg_control = control.space,
	        .msg_controllen = sizeof(control.space),
	};
	ssize_t len;

	oh_recording_near(port, 0);
	len = recvmsg(rtcp ? port->rtcp_fd : port->rtp_fd, &message, MSG_DONTWAIT);
	if (len < 0)
		return;
	port->now_ns = oh_now_ns();
	if (port->drain_until != 0) { /* closed: swallow it, and wait for quiet before somebody else gets this number */
		if (port->drain_until < port->left_ns + OH_DRAIN_MOST_NS)
			port->drain_until = port->now_ns + OH_DRAIN_NS;
		return;
	}
	overflowed(port, rtcp, &message);
	if (message.msg_namelen != sizeof(from) || from.sin_family != AF_INET || from.sin_port == 0)
		return; /* forged: to port 0 nothing can be answered */
	if (rtcp)
		receive_rtcp(port, &from, core->datagram, (size_t)len);
	else if (!port->ice)
		receive_rtp(port, &from, false, core->datagram, (size_t)len);
	else if (oh_ice_takes(port, &from, core->datagram, (size_t)len)) /* whom ICE selected */
		receive_rtp(port, &port->to,
		            from.sin_addr.s_addr != port->to.sin_addr.s_addr || from.sin_port != port->to.sin_port,
		            core->datagram, (size_t)len);
}
