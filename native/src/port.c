/*
 * port.c - a port's life: sockets, signalling, its tick, its reports, its end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"
#include "seat.h"

#define DSCP_EF (46 << 2) /* RFC 3246: expedited forwarding, for voice */

static int open_socket(in_addr_t ip, uint16_t port, int *fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = ip};
	int                tos = DSCP_EF;
	int                on = 1;
	int                error;

	*fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (bind(*fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		(void)close(*fd);
		*fd = -1;
		return error;
	}
	/* Both are wishes: a call works without them. */
	(void)setsockopt(*fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	(void)setsockopt(*fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	return 0;
}

/* RTP on an even port, RTCP on the next (RFC 3550 11); which pair is nobody's to guess. */
static int open_pair(struct oh_core *core, struct oh_port *port, uint32_t random, uint16_t *rtp_port)
{
	uint32_t low = (core->port_low + 1u) & ~1u;
	uint32_t pairs = (core->port_high - low + 1u) / 2u;

	for (uint32_t i = 0; i < pairs; i++) {
		uint16_t even = (uint16_t)(low + 2u * ((random % pairs + i) % pairs));
		int      error = open_socket(core->ip, even, &port->rtp_fd);

		if (error == 0) {
			error = open_socket(core->ip, (uint16_t)(even + 1u), &port->rtcp_fd);
			if (error == 0) {
				*rtp_port = even;
				return 0;
			}
			(void)close(port->rtp_fd);
			port->rtp_fd = -1;
		}
		if (error != -EADDRINUSE)
			return error;
	}
	return -EADDRINUSE;
}

int oh_port_make(struct oh_core *core, struct oh_port **port, uint16_t *rtp_port)
{
	struct oh_port *made = calloc(1, sizeof(*made));
	struct {
		uint32_t pair, ssrc, ts, seq, noise;
	} random;
	int error;

	if (made == NULL)
		return -ENOMEM;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		free(made);
		return -EIO;
	}
	made->core = core;
	made->rtp_fd = -1;
	made->rtcp_fd = -1;
	made->ssrc = random.ssrc;
	made->ts_base = random.ts;
	made->seq = (uint16_t)(random.seq & 0x7fffu); /* RFC 3711 3.3.1: losing the first packets must not hide a wrap */
	oh_listen_init(&made->listen, oh_hear_frame, made, random.noise);
	(void)oh_encoder_open(&made->encoder, OH_CODEC_ULAW, false);
	oh_digits_in_init(&made->digits_in, 8000);
	oh_digits_out_init(&made->digits_out);
	oh_comfort_init(&made->comfort, random.noise ^ random.ssrc);
	oh_down_init(&made->down);
	error = open_pair(core, made, random.pair, rtp_port);
	if (error < 0) {
		free(made);
		return error;
	}
	*port = made;
	return 0;
}

void oh_port_free(struct oh_port *port)
{
	int fds[] = {port->rtp_fd, port->rtcp_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] < 0)
			continue;
		/* Closing alone leaves a socket in epoll while a forked child holds it, and there its tag is this port. */
		(void)epoll_ctl(port->core->epoll_fd, EPOLL_CTL_DEL, fds[i], NULL);
		(void)close(fds[i]);
	}
	oh_listen_close(&port->listen);
	oh_recode_free(port);
	oh_encoder_close(&port->encoder);
	oh_srtp_close(port->srtp);
	free(port);
}

int oh_port_join(struct oh_core *core, struct oh_port *port)
{
	/* The lowest bit says which of the two sockets; structures lie on even addresses. */
	struct epoll_event rtp = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)port};
	struct epoll_event rtcp = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)port | 1u};

	if (core->open_ports >= OH_MAX_PORTS)
		return -ENOSPC;
	while (*oh_core_port_place(core, core->next_port) != NULL || core->next_port == 0)
		core->next_port += core->step;
	if (epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, port->rtp_fd, &rtp) < 0 ||
	    epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, port->rtcp_fd, &rtcp) < 0)
		return -errno;
	port->number = core->next_port;
	core->next_port += core->step;
	*oh_core_port_place(core, port->number) = port;
	core->open_ports++;
	oh_core_place(core, port);
	return 0;
}

void oh_port_leave(struct oh_core *core, struct oh_port *port)
{
	port->now_ns = oh_now_ns();
	oh_prompt_cut(port, port->clock);
	oh_voice_leave(port);
	oh_port_leave_room(port);
	oh_recording_end(port);
	oh_port_report(port, true);
	oh_srtp_close(port->srtp);
	port->srtp = NULL;
	oh_core_unplace(core, port);
	*oh_core_port_place(core, port->number) = NULL;
	core->open_ports--;
	port->left_ns = port->now_ns;
	port->drain_until = port->now_ns + OH_DRAIN_NS;
	port->next = core->draining;
	core->draining = port;
}

/*
 * RFC 3550 6.2 and 6.3: between one and three halves of the interval, so that not everybody reports at once. With two
 * in a call the interval is the least there is, 5 s: a report of 200 bytes is half a percent of a G.711 stream, where
 * 5 percent are allowed; and with two the timer needs no reconsidering.
 */
static void report_later(struct oh_port *port, int64_t interval_ns)
{
	port->report_ns = port->now_ns + interval_ns / 2 + interval_ns / 1000000 * (oh_random(port->core) % 1000000u);
}

/* What is no longer needed goes back in `codecs`, for nothing is freed here. */
static void swap_encoder(struct oh_port *port, struct oh_codecs *codecs)
{
	struct oh_encoder old = port->encoder;
	uint32_t          ticks = oh_port_ticks(port);

	if (old.codec == codecs->encoder.codec && old.dtx == codecs->encoder.dtx)
		return;
	port->encoder = codecs->encoder;
	codecs->encoder = old;
	oh_encoder_loss(&port->encoder, port->loss);
	if (oh_codec_rate_hz(old.codec) == oh_codec_rate_hz(port->encoder.codec))
		return;
	oh_play_rate(port, oh_codec_rate_hz(old.codec));
	port->ts_base += (uint32_t)port->clock * (ticks - oh_port_ticks(port)); /* timestamps go on from where they were */
}

void oh_port_lost(struct oh_port *port, double share)
{
	port->counters.remote_lost = share;
	/* One good report does not make a good path. */
	port->loss = share > 0.75 * port->loss ? share : 0.75 * port->loss;
	oh_encoder_loss(&port->encoder, port->loss < 0.005 ? 0.0 : port->loss);
}

void oh_port_aim(struct oh_port *port)
{
	const struct oh_remote *remote = &port->remote;

	oh_latch_signalled(&port->latch, remote->ip, remote->rtp_port);
	port->started = false;
	port->lost = false;
	port->to = (struct sockaddr_in){
	        .sin_family = AF_INET, .sin_port = htons(remote->rtp_port), .sin_addr.s_addr = remote->ip};
	port->rtcp_to = port->to;
	if (!remote->rtcp_mux)
		port->rtcp_to.sin_port = port->rtcp_fd < 0 ? 0 : htons(remote->rtcp_port);
}

void oh_port_rename(struct oh_port *port)
{
	port->ssrc = oh_random(port->core);
	port->seq &= 0x7fffu;
	port->wrapped = false;
	port->payload_out = 0;
	port->renamed_out = port->counters.packets_out;
	port->paused_sending = true;
}

void oh_port_point(struct oh_port *port, const struct oh_remote *remote, struct oh_codecs *codecs)
{
	bool moved = !port->have_remote || port->remote.ip != remote->ip || port->remote.rtp_port != remote->rtp_port;
	bool reports = port->remote.rtcp_mux != remote->rtcp_mux || port->remote.rtcp_port != remote->rtcp_port;

	if (!port->have_remote) {
		report_later(port, OH_RTCP_NS / 2); /* the first comes sooner (RFC 3550 6.2) */
		oh_quality_begin(port);
	}
	port->remote = *remote;
	port->have_remote = true;
	if (port->ice) {
		/* ICE says where to. */
	} else if (moved) {
		oh_port_aim(port);
	} else if (port->now_ns - port->latch.heard_ns > OH_LATCH_SILENCE_NS) {
		/* The same words again: a stream that runs is kept, one that stopped may come from elsewhere now. */
		oh_latch_signalled(&port->latch, remote->ip, remote->rtp_port);
	}
	if (reports && !port->ice && !moved) { /* the voice goes on from where it came, reports go where they are wanted now */
		port->rtcp_to = port->to;
		if (!remote->rtcp_mux)
			port->rtcp_to.sin_port = port->rtcp_fd < 0 ? 0 : htons(remote->rtcp_port);
	}
	if (port->pressing && remote->digits_pt < 0) { /* these keys can never be sent: nobody may wait for them, or behind them */
		oh_digits_out_init(&port->digits_out);
		port->pressing = false;
		oh_event_media(port->core, port, OH_EVENT_DIGITS_SENT, port->clock, 0, 0, 0, NULL);
	}
	if (port->digits_in.rate_hz != remote->digits_rate_hz) {
		struct oh_digit digit;

		if (oh_digits_in_tick(&port->digits_in, INT64_MAX, &digit) == 1) /* by the old clock to its end */
			oh_digit_heard(port, &digit);
		oh_digits_in_init(&port->digits_in, remote->digits_rate_hz);
	}
	swap_encoder(port, codecs);
	oh_recode_agree(port, codecs);
	port->heard_ns = port->now_ns; /* patience begins anew */
}

static int64_t wall_ns(void)
{
	struct timespec wall;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec;
}

void oh_port_report(struct oh_port *port, bool bye)
{
	struct oh_rtcp_block  block;
	struct oh_rtcp_report report = {.ssrc = port->ssrc, .cname = port->core->cname, .bye = bye};
	struct oh_xr          xr;
	_Alignas(4) uint8_t   data[OH_RTCP_BUILT + OH_SRTP_TRAILER];
	size_t                len;
	int                   sealed;

	if (!port->have_remote || port->rtcp_to.sin_port == 0 || (port->remote.secure && port->srtp == NULL))
		return;
	if (bye && port->counters.packets_out == 0) /* RFC 3550 6.3.7: who never spoke leaves silently */
		return;
	report.sender = port->counters.packets_out != port->reported_out;
	report.ntp = oh_rtcp_ntp(wall_ns());
	/* Not the last tick's timestamp but this moment's, which is what the far end maps our stream by. */
	report.rtp_timestamp =
	        port->ts_base + (uint32_t)((port->now_ns - port->opened_ns) * (int64_t)oh_port_ticks(port) / 125000);
	report.packets = (uint32_t)(port->counters.packets_out - port->renamed_out);
	report.octets = (uint32_t)port->payload_out;
	if (port->have_source && !port->seen.left && oh_rtcp_report(&port->source, port->now_ns, &block) == 0)
		report.block = &block;
	oh_quality_report(port, report.ntp, report.sender, &xr);
	report.xr = &xr;
	if (oh_rtcp_build(data, sizeof(data) - OH_SRTP_TRAILER, &len, &report) < 0)
		return;
	port->reported_out = port->counters.packets_out;
	sealed = oh_port_seal(port, data, len, sizeof(data), true);
	if (sealed < 0 || sendto(oh_port_muxed(port) ? port->rtp_fd : port->rtcp_fd, data, (size_t)sealed,
	                         MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&port->rtcp_to,
	                         sizeof(port->rtcp_to)) < 0)
		port->counters.send_errors++;
}

static void watch(struct oh_port *port)
{
	int64_t patience = port->started && !port->quiet ? OH_LOST_NS : OH_LOST_QUIET_NS;

	if (!port->have_remote || port->lost || !port->remote.receive || port->now_ns - port->heard_ns < patience)
		return;
	port->lost = true;
	oh_event_media(port->core, port, OH_EVENT_MEDIA_LOST, port->clock, 0, 0, 0, NULL);
}

void oh_port_tick(struct oh_port *port, int64_t due_ns)
{
	uint32_t        samples = port->have_remote && port->remote.packet_ms % 20u != 0 ? 80u : 160u;
	bool            sending = oh_port_sends(port);
	struct oh_digit digit;

	oh_recording_near(port, 1);
	port->now_ns = oh_now_ns();
	if (sending && !port->sent) {
		port->paused_sending = true;
		port->sounding = false;
	}
	port->sent = sending;
	if (port->srtp != NULL)
		oh_srtp_tick(port->srtp, port->now_ns);
	oh_voice_obey(port, sending);
	oh_hear_tick(port, samples);
	oh_seat_tick(port, samples);
	if (oh_digits_in_tick(&port->digits_in, port->now_ns, &digit) == 1)
		oh_digit_heard(port, &digit);
	watch(port);
	if (sending) {
		if (port->wait <= samples) {
			port->wait = (uint32_t)port->remote.packet_ms * 8u;
			if (port->now_ns - due_ns > OH_LATE_NS)
				port->core->counters.ticks_overrun++;
			else
				oh_play_packet(port, due_ns);
		} else {
			port->wait -= samples;
		}
	}
	if (port->have_remote && port->now_ns >= port->report_ns) {
		oh_port_report(port, false);
		report_later(port, OH_RTCP_NS);
	}
	if (port->have_remote)
		oh_quality_tick(port);
	oh_recording_tick(port);
	port->clock += samples;
}
