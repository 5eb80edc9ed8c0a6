/*
 * secure.c - a port's SRTP: keys that come and go, and the seal on each packet.
 */
#include <errno.h>
#include <stdlib.h>

#include "command.h"
#include "engine.h"

/* Seal what is about to leave, in place. Bytes to send; negative: it must not leave. */
int oh_port_seal(struct oh_port *port, uint8_t *data, size_t len, size_t cap, bool rtcp)
{
	if (!port->remote.secure)
		return (int)len;
	if (port->srtp == NULL)
		return -ENOKEY;
	port->sealed = true;
	return rtcp ? oh_srtp_protect_rtcp(port->srtp, data, len, cap) : oh_srtp_protect(port->srtp, data, len, cap);
}

/* Open what came, in place. Bytes of it; negative: it is to be dropped, and is counted. */
int oh_port_unseal(struct oh_port *port, uint8_t *data, size_t len, bool rtcp)
{
	int n = -EACCES;

	if (!port->have_remote || !port->remote.secure)
		return (int)len;
	if (port->srtp != NULL)
		n = rtcp ? oh_srtp_unprotect_rtcp(port->srtp, data, len, port->now_ns)
		         : oh_srtp_unprotect(port->srtp, data, len, port->now_ns);
	if (n == -EALREADY)
		port->counters.replayed++;
	else if (n == -EBADMSG)
		port->counters.bad++;
	else if (n < 0)
		port->counters.unauthentic++;
	return n;
}

static int run_keys(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	struct oh_srtp *before;
	bool            doubt;

	if (port == NULL)
		return -ENOENT;
	before = port->srtp;
	port->srtp = command->thing;
	if (port->srtp == NULL) {
		oh_srtp_close(before);
		return 0;
	}
	/* Without what was before nobody knows how far a key was used: the same one would say the same secret twice. */
	doubt = before == NULL ? port->sealed : oh_srtp_follow(port->srtp, before, port->now_ns) && port->wrapped;
	if (doubt)
		oh_port_rename(port);
	return 0;
}

int oh_port_keys(struct oh_core *core, uint32_t port, const struct oh_srtp_keys *keys)
{
	struct oh_command *command = oh_command_new(run_keys, port);
	struct oh_srtp    *srtp = NULL;
	int                error = command == NULL ? -ENOMEM : keys == NULL ? 0 : oh_srtp_open(&srtp, keys);

	if (error < 0) {
		oh_command_free(command);
		return error;
	}
	command->thing = srtp;
	error = oh_command_do(core, command);
	if (error < 0)
		oh_srtp_close(srtp);
	return error;
}
