/*
 * ports.c - what is asked of a port: each method is one function of oh_core.h, with the port's number first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core.h"
#include "refusals.h"

/* --- a port's methods */

PyObject *core_close_port(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	if (((Core *)object)->core == NULL) /* the core closed it */
		Py_RETURN_NONE;
	RUN((Core *)object, error, oh_port_close(core, port));
	if (error < 0 && error != -ENOENT && error != -ESHUTDOWN)
		return core_refused("close", port, error);
	Py_RETURN_NONE;
}

PyObject *core_remote(PyObject *object, PyObject *args)
{
	struct oh_remote remote = {0};
	struct in_addr   ip;
	const char      *host;
	unsigned int     port;
	int              rtp_port, rtcp_port, codec, audio_pt, digits_pt, digits_rate_hz, packet_ms;
	int              send, receive, mux, dtx, secure, error;

	if (!PyArg_ParseTuple(args, "Isiiiiiiippppp", &port, &host, &rtp_port, &rtcp_port, &codec, &audio_pt, &digits_pt,
	                      &digits_rate_hz, &packet_ms, &send, &receive, &mux, &dtx, &secure))
		return NULL;
	if (inet_pton(AF_INET, host, &ip) != 1)
		return PyErr_Format(media_error, "port %u: remote: %s is no IPv4 address: resolve the name first", port,
		                    host);
	remote.ip = ip.s_addr;
	remote.rtp_port = (uint16_t)rtp_port;
	remote.rtcp_port = (uint16_t)rtcp_port;
	remote.codec = (enum oh_codec)codec; /* one of CODECS: port.py has looked */
	remote.audio_pt = (uint8_t)audio_pt;
	remote.digits_pt = (int16_t)digits_pt;
	remote.digits_rate_hz = (uint32_t)digits_rate_hz;
	remote.packet_ms = (uint16_t)packet_ms;
	remote.send = send != 0;
	remote.receive = receive != 0;
	remote.rtcp_mux = mux != 0;
	remote.dtx = dtx != 0;
	remote.secure = secure != 0;
	RUN((Core *)object, error, oh_port_remote(core, port, &remote));
	if (error < 0)
		return core_refused("remote", port, error);
	Py_RETURN_NONE;
}

PyObject *core_keys(PyObject *object, PyObject *args)
{
	struct oh_srtp_keys keys;
	const char         *send, *receive;
	Py_ssize_t          send_len, receive_len;
	size_t              len;
	unsigned int        port;
	int                 suite, error;

	if (!PyArg_ParseTuple(args, "Iiy#y#", &port, &suite, &send, &send_len, &receive, &receive_len))
		return NULL;
	len = oh_srtp_key_len((enum oh_srtp_suite)suite);
	if (len == 0 || (size_t)send_len != len || (size_t)receive_len != len)
		return core_refused("keys", port, -EINVAL);
	keys.suite = (enum oh_srtp_suite)suite;
	memcpy(keys.send, send, len);
	memcpy(keys.receive, receive, len);
	RUN((Core *)object, error, oh_port_keys(core, port, &keys));
	explicit_bzero(&keys, sizeof(keys));
	if (error < 0)
		return core_refused("keys", port, error);
	Py_RETURN_NONE;
}

static int forget_keys(struct oh_core *core, unsigned int port)
{
	return oh_port_keys(core, port, NULL);
}

PyObject *core_ice(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          on, error;

	if (!PyArg_ParseTuple(args, "Ip", &port, &on))
		return NULL;
	RUN((Core *)object, error, oh_port_ice(core, port, on != 0));
	if (error < 0)
		return core_refused("ice", port, error);
	Py_RETURN_NONE;
}

PyObject *core_select(PyObject *object, PyObject *args)
{
	struct in_addr ip;
	const char    *host;
	unsigned int   port;
	int            rtp_port, error;

	if (!PyArg_ParseTuple(args, "Isi", &port, &host, &rtp_port))
		return NULL;
	if (inet_pton(AF_INET, host, &ip) != 1)
		return PyErr_Format(media_error, "port %u: select: %s is no IPv4 address", port, host);
	RUN((Core *)object, error, oh_port_select(core, port, ip.s_addr, (uint16_t)rtp_port));
	if (error < 0)
		return core_refused("select", port, error);
	Py_RETURN_NONE;
}

PyObject *core_post(PyObject *object, PyObject *args)
{
	struct in_addr  ip;
	const char     *host, *data;
	Py_ssize_t      len;
	unsigned int    port;
	int             rtp_port, error;
	struct oh_core *core;

	if (!PyArg_ParseTuple(args, "Isiy#", &port, &host, &rtp_port, &data, &len))
		return NULL;
	if (inet_pton(AF_INET, host, &ip) != 1)
		return PyErr_Format(media_error, "port %u: post: %s is no IPv4 address", port, host);
	core = core_use((Core *)object);
	if (core == NULL)
		return NULL;
	error = oh_port_post(core, port, ip.s_addr, (uint16_t)rtp_port, (const uint8_t *)data, (size_t)len); /* never waits */
	((Core *)object)->users--;
	if (error < 0)
		return core_refused("post", port, error);
	Py_RETURN_NONE;
}

PyObject *core_bind(PyObject *object, PyObject *args)
{
	unsigned int port, segment, slot;
	uint32_t     epoch = 0;
	int          error;

	if (!PyArg_ParseTuple(args, "III", &port, &segment, &slot))
		return NULL;
	RUN((Core *)object, error, oh_port_bind(core, port, segment, slot, &epoch));
	return error < 0 ? core_refused("bind", port, error) : PyLong_FromUnsignedLong(epoch);
}

PyObject *core_play(PyObject *object, PyObject *args)
{
	unsigned int port, prompt;
	uint32_t     play = 0;
	int          loop, error;

	if (!PyArg_ParseTuple(args, "IIp", &port, &prompt, &loop))
		return NULL;
	RUN((Core *)object, error, oh_port_play(core, port, prompt, loop != 0, &play));
	return error < 0 ? core_refused("play", port, error) : PyLong_FromUnsignedLong(play);
}

PyObject *core_flush(PyObject *object, PyObject *args)
{
	unsigned int port;
	uint64_t     played = 0;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	RUN((Core *)object, error, oh_port_flush(core, port, &played));
	return error < 0 ? core_refused("flush", port, error) : PyLong_FromUnsignedLongLong(played);
}

PyObject *core_send_digits(PyObject *object, PyObject *args)
{
	unsigned int port, press_ms;
	const char  *digits;
	int          error;

	if (!PyArg_ParseTuple(args, "IsI", &port, &digits, &press_ms))
		return NULL;
	RUN((Core *)object, error, oh_port_send_digits(core, port, digits, press_ms));
	if (error < 0)
		return core_refused("send_digits", port, error);
	Py_RETURN_NONE;
}

PyObject *core_record(PyObject *object, PyObject *args)
{
	unsigned int port;
	const char  *caller, *agent;
	int          error;

	if (!PyArg_ParseTuple(args, "Iss", &port, &caller, &agent))
		return NULL;
	RUN((Core *)object, error, oh_port_record(core, port, caller, agent));
	if (error < 0)
		return PyErr_Format(media_error, "port %u: record %s and %s: %s", port, caller, agent,
		                    oh_refusal("record", error));
	Py_RETURN_NONE;
}

PyObject *core_pause(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          paused, error;

	if (!PyArg_ParseTuple(args, "Ip", &port, &paused))
		return NULL;
	RUN((Core *)object, error, oh_port_pause_recording(core, port, paused != 0));
	if (error < 0)
		return core_refused("pause_recording", port, error);
	Py_RETURN_NONE;
}

PyObject *core_bridge(PyObject *object, PyObject *args)
{
	unsigned int port, other;
	int          error;

	if (!PyArg_ParseTuple(args, "II", &port, &other))
		return NULL;
	RUN((Core *)object, error, oh_port_bridge(core, port, other));
	if (error < 0)
		return core_refused("bridge", port, error);
	Py_RETURN_NONE;
}

PyObject *core_enter(PyObject *object, PyObject *args)
{
	unsigned int room, port, heard, by;
	int          error;

	if (!PyArg_ParseTuple(args, "IIII", &room, &port, &heard, &by))
		return NULL;
	RUN((Core *)object, error, oh_port_enter(core, port, room, (enum oh_heard_by)heard, by));
	if (error < 0)
		return core_refused("enter", port, error);
	Py_RETURN_NONE;
}

PyObject *core_heard(PyObject *object, PyObject *args)
{
	unsigned int port, heard, by;
	int          error;

	if (!PyArg_ParseTuple(args, "III", &port, &heard, &by))
		return NULL;
	RUN((Core *)object, error, oh_port_heard(core, port, (enum oh_heard_by)heard, by));
	if (error < 0)
		return core_refused("heard", port, error);
	Py_RETURN_NONE;
}

/* Methods that take a port and answer nothing. */
#define PLAIN(name, function)                                                                                          \
	PyObject *core_##name(PyObject *object, PyObject *args)                                                 \
	{                                                                                                              \
		unsigned int port;                                                                                     \
		int          error;                                                                                    \
                                                                                                                       \
		if (!PyArg_ParseTuple(args, "I", &port))                                                               \
			return NULL;                                                                                   \
		RUN((Core *)object, error, function(core, port));                                                      \
		if (error < 0)                                                                                         \
			return core_refused(#name, port, error);                                                            \
		Py_RETURN_NONE;                                                                                        \
	}

PLAIN(forget_keys, forget_keys)
PLAIN(unbind, oh_port_unbind)
PLAIN(leave, oh_port_leave_rooms)
PLAIN(stop, oh_port_stop)
PLAIN(stop_recording, oh_port_stop_recording)
