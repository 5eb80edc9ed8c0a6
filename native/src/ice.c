/*
 * ice.c - a port whose far end ICE chooses: what is handed up to the agents, what they post, and whom they select.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"

/* --- on the media thread */

static void hand_up(struct oh_port *port, const struct sockaddr_in *from, const uint8_t *data, size_t len)
{
	struct oh_datagram *datagram = oh_ring_claim(&port->core->datagrams_up);

	if (datagram == NULL) {
		port->counters.handed_up_dropped++;
		return;
	}
	datagram->arrived_ns = port->now_ns;
	datagram->port = port->number;
	datagram->ip = from->sin_addr.s_addr;
	datagram->from_port = ntohs(from->sin_port);
	datagram->len = (uint16_t)len;
	memcpy(datagram->data, data, len);
	oh_ring_publish(&port->core->datagrams_up);
	port->counters.handed_up++;
	port->core->told_events = true;
}

/* True: it is media of whom ICE selected. Else it has been dealt with. */
bool oh_ice_takes(struct oh_port *port, const struct sockaddr_in *from, const uint8_t *data, size_t len)
{
	enum oh_demux_verdict verdict = OH_DEMUX_BAD;

	if (len <= OH_DATAGRAM_MAX)
		verdict = oh_demux_judge(&port->demux, from->sin_addr.s_addr, ntohs(from->sin_port), data, len,
		                         port->now_ns);
	switch (verdict) {
	case OH_DEMUX_MEDIA:
	case OH_DEMUX_REPORT:
		return true;
	case OH_DEMUX_HAND_UP:
		hand_up(port, from, data, len);
		break;
	case OH_DEMUX_TOO_MANY:
		port->counters.handed_up_dropped++;
		break;
	case OH_DEMUX_WRONG_SOURCE:
		port->counters.wrong_source++;
		break;
	case OH_DEMUX_BAD:
		port->counters.bad++;
		break;
	}
	return false;
}

static void select_nobody(struct oh_port *port)
{
	oh_demux_select(&port->demux, 0, 0, port->now_ns);
	port->started = false;
	port->lost = false;
	port->to.sin_port = 0;
	port->rtcp_to.sin_port = 0;
}

static int run_ice(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	bool            on = command->a != 0;

	if (port == NULL)
		return -ENOENT;
	if (port->ice == on)
		return 0;
	port->ice = on;
	if (!on) {
		if (port->have_remote)
			oh_port_aim(port);
		return 0;
	}
	oh_demux_init(&port->demux);
	oh_latch_signalled(&port->latch, 0, 0);
	select_nobody(port);
	if (port->rtcp_fd >= 0) { /* a descriptor and a socket's memory, for thousands of ports */
		(void)epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, port->rtcp_fd, NULL);
		(void)close(port->rtcp_fd);
		port->rtcp_fd = -1;
	}
	return 0;
}

static int run_select(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	uint32_t        ip = command->a;
	uint16_t        rtp_port = (uint16_t)command->b;

	if (port == NULL)
		return -ENOENT;
	if (!port->ice)
		return -EINVAL;
	if (rtp_port == 0) {
		select_nobody(port);
		return 0;
	}
	if (port->demux.ip == ip && port->demux.port == rtp_port)
		return 0;
	oh_demux_select(&port->demux, ip, rtp_port, port->now_ns);
	oh_latch_select(&port->latch, ip, rtp_port);
	port->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(rtp_port), .sin_addr.s_addr = ip};
	port->rtcp_to = port->to;
	port->started = false; /* MEDIA_STARTED says when its first packet comes from there */
	port->lost = false;
	port->heard_ns = port->now_ns;
	return 0;
}

static int run_post(struct oh_core *core, struct oh_command *command)
{
	const struct oh_datagram *datagram = &command->of.datagram;
	struct oh_port           *port = oh_command_port(core, command);
	struct sockaddr_in        to = {.sin_family = AF_INET};

	(void)atomic_fetch_sub_explicit(&core->posts, 1, memory_order_relaxed);
	if (port == NULL)
		return -ENOENT;
	to.sin_port = htons(datagram->from_port);
	to.sin_addr.s_addr = datagram->ip;
	if (sendto(port->rtp_fd, datagram->data, datagram->len, MSG_DONTWAIT | MSG_NOSIGNAL,
	           (const struct sockaddr *)&to, sizeof(to)) < 0)
		port->counters.send_errors++;
	return 0;
}

/* --- in any thread: oh_core.h */

int oh_port_ice(struct oh_core *core, uint32_t port, bool on)
{
	struct oh_command *command = oh_command_new(run_ice, port);

	if (command != NULL)
		command->a = on;
	return oh_command_do(core, command);
}

int oh_port_select(struct oh_core *core, uint32_t port, uint32_t ip, uint16_t rtp_port)
{
	struct oh_command *command = oh_command_new(run_select, port);

	if (command != NULL) {
		command->a = ip;
		command->b = rtp_port;
	}
	return oh_command_do(core, command);
}

int oh_port_post(struct oh_core *core, uint32_t port, uint32_t ip, uint16_t rtp_port, const uint8_t *data, size_t len)
{
	struct oh_command *command;

	if (len == 0 || len > OH_DATAGRAM_MAX)
		return -EMSGSIZE;
	if (rtp_port == 0)
		return -EINVAL;
	if (atomic_fetch_add_explicit(&core->posts, 1, memory_order_relaxed) >= OH_POSTS) {
		(void)atomic_fetch_sub_explicit(&core->posts, 1, memory_order_relaxed);
		return -ENOBUFS;
	}
	command = oh_command_new(run_post, port);
	if (command == NULL) {
		(void)atomic_fetch_sub_explicit(&core->posts, 1, memory_order_relaxed);
		return -ENOMEM;
	}
	command->of.datagram.ip = ip;
	command->of.datagram.from_port = rtp_port;
	command->of.datagram.len = (uint16_t)len;
	memcpy(command->of.datagram.data, data, len);
	oh_command_leave(core, command);
	return 0;
}

size_t oh_core_datagrams(struct oh_core *core, struct oh_datagram *out, size_t most)
{
	struct oh_datagram *datagram;
	size_t              n = 0;

	oh_event_begin(core);
	while (n < most && (datagram = oh_ring_peek(&core->datagrams_up)) != NULL) {
		out[n++] = *datagram;
		oh_ring_release(&core->datagrams_up);
	}
	oh_event_end(core);
	return n;
}
