/*
 * module.c - offhook.media._core: oh_core.h for Python, one method for one function, and nothing more.
 *
 * The GIL is released while a command waits for its answer. `users` counts calls under way (guarded by the GIL), so
 * that `close` can wait for them. See server/offhook/media/_core.pyi for the types.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "oh_core.h"
#include "refusals.h"

#define EVENTS_AT_ONCE    64
#define DATAGRAMS_AT_ONCE 16

typedef struct {
	PyObject_HEAD
	struct oh_core *core;  /* NULL: closed */
	Py_ssize_t      users; /* calls under way without the GIL */
} Core;

static PyObject *media_error;

static PyObject *refused(const char *verb, unsigned int port, int error)
{
	if (port != 0)
		PyErr_Format(media_error, "port %u: %s: %s", port, verb, oh_refusal(verb, error));
	else
		PyErr_Format(media_error, "media core: %s: %s", verb, oh_refusal(verb, error));
	return NULL;
}

static struct oh_core *enter(Core *self)
{
	if (self->core == NULL) {
		PyErr_SetString(media_error, "the media core is closed: start another one");
		return NULL;
	}
	self->users++;
	return self->core;
}

/* Runs `call` on the open core without the GIL; `error` is what it answered. Leaves the function where it is closed. */
#define RUN(self, error, call)                                                                                         \
	do {                                                                                                           \
		struct oh_core *core = enter(self);                                                                    \
		if (core == NULL)                                                                                      \
			return NULL;                                                                                   \
		Py_BEGIN_ALLOW_THREADS                                                                                 \
		(error) = (call);                                                                                      \
		Py_END_ALLOW_THREADS                                                                                   \
		(self)->users--;                                                                                       \
	} while (0)

/* --- life */

static int core_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	Core                 *self = (Core *)object;
	struct oh_core_config config;
	int                   low, high, error;
	unsigned int          first = 1, step = 1;

	if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
		PyErr_SetString(PyExc_TypeError, "Core takes no keywords");
		return -1;
	}
	if (!PyArg_ParseTuple(args, "sii|II", &config.address, &low, &high, &first, &step))
		return -1;
	if (self->core != NULL || low < 1 || high > UINT16_MAX) {
		(void)refused("start", 0, -EINVAL);
		return -1;
	}
	config.port_low = (uint16_t)low;
	config.port_high = (uint16_t)high;
	config.first = first;
	config.step = step;
	error = oh_core_start(&self->core, &config);
	if (error < 0) {
		self->core = NULL;
		(void)refused("start", 0, error);
		return -1;
	}
	return 0;
}

static void stop(Core *self)
{
	struct oh_core *core = self->core;
	struct timespec moment = {0, 1000000};

	if (core == NULL)
		return;
	self->core = NULL; /* nobody enters from here on */
	while (self->users > 0) {
		Py_BEGIN_ALLOW_THREADS
		(void)nanosleep(&moment, NULL);
		Py_END_ALLOW_THREADS
	}
	Py_BEGIN_ALLOW_THREADS
	oh_core_stop(core);
	Py_END_ALLOW_THREADS
}

static void core_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	stop((Core *)object);
	type->tp_free(object);
	Py_DECREF(type);
}

static PyObject *core_close(PyObject *object, PyObject *unused)
{
	(void)unused;
	stop((Core *)object);
	Py_RETURN_NONE;
}

/* --- the core's own methods */

static PyObject *core_fileno(PyObject *object, PyObject *unused)
{
	struct oh_core *core = enter((Core *)object);
	long            fd;

	(void)unused;
	if (core == NULL)
		return NULL;
	fd = oh_core_event_fd(core);
	((Core *)object)->users--;
	return PyLong_FromLong(fd);
}

static PyObject *quality_side(const struct oh_quality_side *side)
{
	return Py_BuildValue("ffffffffffI", (double)side->r, (double)side->mos_lq, (double)side->mos_cq,
	                     (double)side->lost, (double)side->discarded, (double)side->burst_density,
	                     (double)side->burst_ms, (double)side->jitter_ms, (double)side->said_mos_lq,
	                     (double)side->said_mos_cq, side->packets);
}

static PyObject *quality_event(const struct oh_event *event)
{
	const struct oh_quality *quality = &event->quality;

	return Py_BuildValue("IILLLL(NNff)", event->kind, event->port, (long long)event->clock, (long long)event->a, 0LL, 0LL,
	                     quality_side(&quality->heard), quality_side(&quality->reported), (double)quality->rtt_ms,
	                     (double)quality->delay_ms);
}

static PyObject *core_events(PyObject *object, PyObject *unused)
{
	Core           *self = (Core *)object;
	struct oh_core *core = enter(self);
	struct oh_event events[EVENTS_AT_ONCE];
	PyObject       *list;
	size_t          n = EVENTS_AT_ONCE;

	(void)unused;
	if (core == NULL)
		return NULL;
	list = PyList_New(0);
	while (list != NULL && n == EVENTS_AT_ONCE) {
		n = oh_core_events(core, events, EVENTS_AT_ONCE); /* never waits: the GIL stays */
		for (size_t i = 0; i < n && list != NULL; i++) {
			const struct oh_event *event = &events[i];
			PyObject *item = event->kind == OH_EVENT_QUALITY
			                         ? quality_event(event)
			                         : Py_BuildValue("IILLLLs", event->kind, event->port,
			                                         (long long)event->clock, (long long)event->a,
			                                         (long long)event->b, (long long)event->c, event->text);

			if (item == NULL || PyList_Append(list, item) < 0)
				Py_CLEAR(list);
			Py_XDECREF(item);
		}
	}
	self->users--;
	return list;
}

static PyObject *core_datagrams(PyObject *object, PyObject *unused)
{
	Core              *self = (Core *)object;
	struct oh_core    *core = enter(self);
	struct oh_datagram datagrams[DATAGRAMS_AT_ONCE];
	PyObject          *list;
	size_t             n = DATAGRAMS_AT_ONCE;

	(void)unused;
	if (core == NULL)
		return NULL;
	list = PyList_New(0);
	while (list != NULL && n == DATAGRAMS_AT_ONCE) {
		n = oh_core_datagrams(core, datagrams, DATAGRAMS_AT_ONCE); /* never waits: the GIL stays */
		for (size_t i = 0; i < n && list != NULL; i++) {
			const struct oh_datagram *datagram = &datagrams[i];
			struct in_addr            ip = {.s_addr = datagram->ip};
			char                      host[INET_ADDRSTRLEN] = "";
			PyObject                 *item;

			(void)inet_ntop(AF_INET, &ip, host, sizeof(host));
			item = Py_BuildValue("Isiy#L", datagram->port, host, (int)datagram->from_port, (const char *)datagram->data,
			                     (Py_ssize_t)datagram->len, (long long)datagram->arrived_ns);
			if (item == NULL || PyList_Append(list, item) < 0)
				Py_CLEAR(list);
			Py_XDECREF(item);
		}
	}
	self->users--;
	return list;
}

static PyObject *core_counters(PyObject *object, PyObject *unused)
{
	struct oh_core_counters counters;
	int                     error;

	(void)unused;
	RUN((Core *)object, error, oh_core_counters(core, &counters));
	if (error < 0)
		return refused("counters", 0, error);
	return Py_BuildValue("KKKdddKKKKKs", (unsigned long long)counters.ports, (unsigned long long)counters.packets_in,
	                     (unsigned long long)counters.packets_out, counters.pacing_p50_us, counters.pacing_p99_us,
	                     counters.pacing_max_us, (unsigned long long)counters.ticks_overrun,
	                     (unsigned long long)counters.kernel_drops, (unsigned long long)counters.disk_drops,
	                     (unsigned long long)counters.events_dropped, (unsigned long long)counters.amiss,
	                     counters.amiss_where);
}

static PyObject *core_attach(PyObject *object, PyObject *args)
{
	uint32_t segment = 0;
	int      fd, error;

	if (!PyArg_ParseTuple(args, "i", &fd))
		return NULL;
	RUN((Core *)object, error, oh_core_attach(core, fd, &segment));
	return error < 0 ? refused("attach", 0, error) : PyLong_FromUnsignedLong(segment);
}

static PyObject *core_load_prompt(PyObject *object, PyObject *args)
{
	Py_buffer    pcm;
	unsigned int prompt, rate_hz;
	int          error;
	Core        *self = (Core *)object;
	struct oh_core *core;

	if (!PyArg_ParseTuple(args, "Iy*I", &prompt, &pcm, &rate_hz))
		return NULL;
	core = enter(self);
	if (core == NULL) {
		PyBuffer_Release(&pcm);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	error = oh_prompt_load(core, prompt, pcm.buf, (size_t)pcm.len / sizeof(int16_t), rate_hz);
	Py_END_ALLOW_THREADS
	self->users--;
	PyBuffer_Release(&pcm);
	if (error < 0)
		return refused("load_prompt", 0, error);
	Py_RETURN_NONE;
}

static PyObject *core_drop_prompt(PyObject *object, PyObject *args)
{
	unsigned int prompt;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &prompt))
		return NULL;
	RUN((Core *)object, error, oh_prompt_drop(core, prompt));
	if (error < 0)
		return refused("drop_prompt", 0, error);
	Py_RETURN_NONE;
}

static PyObject *core_open(PyObject *object, PyObject *unused)
{
	uint32_t number = 0;
	uint16_t rtp_port = 0;
	int64_t  opened_ns = 0;
	int      error;

	(void)unused;
	RUN((Core *)object, error, oh_port_open(core, &number, &rtp_port, &opened_ns));
	if (error < 0)
		return refused("open", 0, error);
	return Py_BuildValue("IiL", number, (int)rtp_port, (long long)opened_ns);
}

/* --- a port's methods */

static PyObject *core_close_port(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	if (((Core *)object)->core == NULL) /* the core closed it */
		Py_RETURN_NONE;
	RUN((Core *)object, error, oh_port_close(core, port));
	if (error < 0 && error != -ENOENT && error != -ESHUTDOWN)
		return refused("close", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_remote(PyObject *object, PyObject *args)
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
		return refused("remote", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_keys(PyObject *object, PyObject *args)
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
		return refused("keys", port, -EINVAL);
	keys.suite = (enum oh_srtp_suite)suite;
	memcpy(keys.send, send, len);
	memcpy(keys.receive, receive, len);
	RUN((Core *)object, error, oh_port_keys(core, port, &keys));
	explicit_bzero(&keys, sizeof(keys));
	if (error < 0)
		return refused("keys", port, error);
	Py_RETURN_NONE;
}

static int forget_keys(struct oh_core *core, unsigned int port)
{
	return oh_port_keys(core, port, NULL);
}

static PyObject *core_ice(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          on, error;

	if (!PyArg_ParseTuple(args, "Ip", &port, &on))
		return NULL;
	RUN((Core *)object, error, oh_port_ice(core, port, on != 0));
	if (error < 0)
		return refused("ice", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_select(PyObject *object, PyObject *args)
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
		return refused("select", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_post(PyObject *object, PyObject *args)
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
	core = enter((Core *)object);
	if (core == NULL)
		return NULL;
	error = oh_port_post(core, port, ip.s_addr, (uint16_t)rtp_port, (const uint8_t *)data, (size_t)len); /* never waits */
	((Core *)object)->users--;
	if (error < 0)
		return refused("post", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_bind(PyObject *object, PyObject *args)
{
	unsigned int port, segment, slot;
	uint32_t     epoch = 0;
	int          error;

	if (!PyArg_ParseTuple(args, "III", &port, &segment, &slot))
		return NULL;
	RUN((Core *)object, error, oh_port_bind(core, port, segment, slot, &epoch));
	return error < 0 ? refused("bind", port, error) : PyLong_FromUnsignedLong(epoch);
}

static PyObject *core_play(PyObject *object, PyObject *args)
{
	unsigned int port, prompt;
	uint32_t     play = 0;
	int          loop, error;

	if (!PyArg_ParseTuple(args, "IIp", &port, &prompt, &loop))
		return NULL;
	RUN((Core *)object, error, oh_port_play(core, port, prompt, loop != 0, &play));
	return error < 0 ? refused("play", port, error) : PyLong_FromUnsignedLong(play);
}

static PyObject *core_flush(PyObject *object, PyObject *args)
{
	unsigned int port;
	uint64_t     played = 0;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	RUN((Core *)object, error, oh_port_flush(core, port, &played));
	return error < 0 ? refused("flush", port, error) : PyLong_FromUnsignedLongLong(played);
}

static PyObject *core_send_digits(PyObject *object, PyObject *args)
{
	unsigned int port, press_ms;
	const char  *digits;
	int          error;

	if (!PyArg_ParseTuple(args, "IsI", &port, &digits, &press_ms))
		return NULL;
	RUN((Core *)object, error, oh_port_send_digits(core, port, digits, press_ms));
	if (error < 0)
		return refused("send_digits", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_record(PyObject *object, PyObject *args)
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

static PyObject *core_pause(PyObject *object, PyObject *args)
{
	unsigned int port;
	int          paused, error;

	if (!PyArg_ParseTuple(args, "Ip", &port, &paused))
		return NULL;
	RUN((Core *)object, error, oh_port_pause_recording(core, port, paused != 0));
	if (error < 0)
		return refused("pause_recording", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_bridge(PyObject *object, PyObject *args)
{
	unsigned int port, other;
	int          error;

	if (!PyArg_ParseTuple(args, "II", &port, &other))
		return NULL;
	RUN((Core *)object, error, oh_port_bridge(core, port, other));
	if (error < 0)
		return refused("bridge", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_room(PyObject *object, PyObject *unused)
{
	uint32_t room = 0;
	int      error;

	(void)unused;
	RUN((Core *)object, error, oh_core_room(core, &room));
	return error < 0 ? refused("room", 0, error) : PyLong_FromUnsignedLong(room);
}

static PyObject *core_close_room(PyObject *object, PyObject *args)
{
	unsigned int room;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &room))
		return NULL;
	if (((Core *)object)->core == NULL) /* the core closed it */
		Py_RETURN_NONE;
	RUN((Core *)object, error, oh_core_close_room(core, room));
	if (error < 0 && error != -ESHUTDOWN)
		return refused("close_room", 0, error);
	Py_RETURN_NONE;
}

static PyObject *core_enter(PyObject *object, PyObject *args)
{
	unsigned int room, port, heard, by;
	int          error;

	if (!PyArg_ParseTuple(args, "IIII", &room, &port, &heard, &by))
		return NULL;
	RUN((Core *)object, error, oh_port_enter(core, port, room, (enum oh_heard_by)heard, by));
	if (error < 0)
		return refused("enter", port, error);
	Py_RETURN_NONE;
}

static PyObject *core_heard(PyObject *object, PyObject *args)
{
	unsigned int port, heard, by;
	int          error;

	if (!PyArg_ParseTuple(args, "III", &port, &heard, &by))
		return NULL;
	RUN((Core *)object, error, oh_port_heard(core, port, (enum oh_heard_by)heard, by));
	if (error < 0)
		return refused("heard", port, error);
	Py_RETURN_NONE;
}

/* Methods that take a port and answer nothing. */
#define PLAIN(name, function)                                                                                          \
	static PyObject *core_##name(PyObject *object, PyObject *args)                                                 \
	{                                                                                                              \
		unsigned int port;                                                                                     \
		int          error;                                                                                    \
                                                                                                                       \
		if (!PyArg_ParseTuple(args, "I", &port))                                                               \
			return NULL;                                                                                   \
		RUN((Core *)object, error, function(core, port));                                                      \
		if (error < 0)                                                                                         \
			return refused(#name, port, error);                                                            \
		Py_RETURN_NONE;                                                                                        \
	}

PLAIN(forget_keys, forget_keys)
PLAIN(unbind, oh_port_unbind)
PLAIN(leave, oh_port_leave_rooms)
PLAIN(stop, oh_port_stop)
PLAIN(stop_recording, oh_port_stop_recording)

static PyObject *core_port_counters(PyObject *object, PyObject *args)
{
	struct oh_port_counters c;
	unsigned int            port;
	int                     error;

	if (!PyArg_ParseTuple(args, "I", &port))
		return NULL;
	RUN((Core *)object, error, oh_port_counters(core, port, &c));
	if (error < 0)
		return refused("counters", port, error);
	return Py_BuildValue(
	        "KKKKKKKKddKKKKddddKKKKKKdddddd", (unsigned long long)c.packets_in, (unsigned long long)c.bytes_in,
	        (unsigned long long)c.packets_out, (unsigned long long)c.bytes_out, (unsigned long long)c.late,
	        (unsigned long long)c.lost, (unsigned long long)c.duplicate, (unsigned long long)c.reordered,
	        (double)c.concealed / 8.0, (double)c.missing / 8.0, (unsigned long long)c.bad,
	        (unsigned long long)c.wrong_source, (unsigned long long)c.wrong_ssrc, (unsigned long long)c.send_errors,
	        c.jitter_ms, c.rtt_ms, c.remote_lost, (double)c.record_dropped / 8.0,
	        (unsigned long long)c.unauthentic, (unsigned long long)c.replayed, (unsigned long long)c.handed_up,
	        (unsigned long long)c.handed_up_dropped, (unsigned long long)c.rtcp_in, (unsigned long long)c.rtcp_dropped,
	        c.mos_lq, c.mos_cq, (double)c.waited_ns / 1e6, (double)c.bridged / 8.0, (double)c.bridged_concealed / 8.0,
	        c.bridged_heard > 0 ? (double)c.bridged_delay_us / (double)c.bridged_heard / 1e3 : 0.0);
}

/* --- the module */

static PyMethodDef core_methods[] = {
        {"fileno", core_fileno, METH_NOARGS, "A descriptor that is readable while events wait."},
        {"events", core_events, METH_NOARGS, "What happened since the last call, oldest first."},
        {"datagrams", core_datagrams, METH_NOARGS, "What came for ICE and DTLS since the last call, oldest first."},
        {"counters", core_counters, METH_NOARGS, "struct oh_core_counters, as a tuple."},
        {"close", core_close, METH_NOARGS, "Close all ports and end the threads."},
        {"attach", core_attach, METH_VARARGS, "Map a slots segment."},
        {"load_prompt", core_load_prompt, METH_VARARGS, "Keep a sound."},
        {"drop_prompt", core_drop_prompt, METH_VARARGS, "Forget a sound."},
        {"open", core_open, METH_NOARGS, "Open a port: number, UDP port, time of media clock 0."},
        {"close_port", core_close_port, METH_VARARGS, "Close a port."},
        {"remote", core_remote, METH_VARARGS, "Where to send, and from whom to take."},
        {"keys", core_keys, METH_VARARGS, "Keys for SRTP."},
        {"forget_keys", core_forget_keys, METH_VARARGS, "Have none."},
        {"ice", core_ice, METH_VARARGS, "Whether ICE says whom the port talks to."},
        {"select", core_select, METH_VARARGS, "Whom ICE has selected."},
        {"post", core_post, METH_VARARGS, "Send a datagram."},
        {"bind", core_bind, METH_VARARGS, "Bind to a slot; the epoch."},
        {"unbind", core_unbind, METH_VARARGS, "Leave the slot."},
        {"bridge", core_bridge, METH_VARARGS, "Let two ports hear each other."},
        {"room", core_room, METH_NOARGS, "Make a room: its number."},
        {"close_room", core_close_room, METH_VARARGS, "Close a room."},
        {"enter", core_enter, METH_VARARGS, "Bring a port into a room."},
        {"leave", core_leave, METH_VARARGS, "Leave the room or the bridge."},
        {"heard", core_heard, METH_VARARGS, "Who hears a port."},
        {"play", core_play, METH_VARARGS, "Play a prompt; the number of this playing."},
        {"stop", core_stop, METH_VARARGS, "Cut the prompt."},
        {"flush", core_flush, METH_VARARGS, "Cut what the slot said; the samples played."},
        {"send_digits", core_send_digits, METH_VARARGS, "Press keys."},
        {"record", core_record, METH_VARARGS, "Write two tracks."},
        {"pause", core_pause, METH_VARARGS, "Pause or resume the recording."},
        {"stop_recording", core_stop_recording, METH_VARARGS, "Finish both tracks."},
        {"port_counters", core_port_counters, METH_VARARGS, "struct oh_port_counters, as a tuple."},
        {NULL, NULL, 0, NULL},
};

static PyType_Slot core_slots[] = {
        {Py_tp_doc, "The media core; see offhook.media.MediaCore."},
        {Py_tp_new, PyType_GenericNew},
        {Py_tp_init, core_init},
        {Py_tp_dealloc, core_dealloc},
        {Py_tp_methods, core_methods},
        {0, NULL},
};

static PyType_Spec core_spec = {
        .name = "offhook.media._core.Core",
        .basicsize = sizeof(Core),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = core_slots,
};

static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "offhook.media._core",
        .m_doc = "The media core, as oh_core.h has it.",
        .m_size = -1,
};

static int add_constants(PyObject *module)
{
	static const struct {
		const char *name;
		int         value;
	} constants[] = {
	        {"ULAW", OH_CODEC_ULAW},
	        {"ALAW", OH_CODEC_ALAW},
	        {"OPUS", OH_CODEC_OPUS},
	        {"HEARD_BY_ALL", OH_HEARD_BY_ALL},
	        {"HEARD_BY_NOBODY", OH_HEARD_BY_NOBODY},
	        {"HEARD_BY_LINE", OH_HEARD_BY_LINE},
	        {"HEARD_BY_SLOT", OH_HEARD_BY_SLOT},
	        {"DIGIT", OH_EVENT_DIGIT},
	        {"DIGITS_SENT", OH_EVENT_DIGITS_SENT},
	        {"PROMPT_DONE", OH_EVENT_PROMPT_DONE},
	        {"TALK", OH_EVENT_TALK},
	        {"MEDIA_STARTED", OH_EVENT_MEDIA_STARTED},
	        {"MEDIA_LOST", OH_EVENT_MEDIA_LOST},
	        {"MEDIA_BACK", OH_EVENT_MEDIA_BACK},
	        {"RECORD_FAILED", OH_EVENT_RECORD_FAILED},
	        {"RECORD_RESUMED", OH_EVENT_RECORD_RESUMED},
	        {"RECORD_CLOSED", OH_EVENT_RECORD_CLOSED},
	        {"QUALITY", OH_EVENT_QUALITY},
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
			return -1;
	}
	return 0;
}

PyMODINIT_FUNC PyInit__core(void)
{
	PyObject *errors = PyImport_ImportModule("offhook.media.errors");
	PyObject *module, *type;

	if (errors == NULL)
		return NULL;
	media_error = PyObject_GetAttrString(errors, "MediaError");
	Py_DECREF(errors);
	module = media_error == NULL ? NULL : PyModule_Create(&definition);
	if (module == NULL)
		return NULL;
	type = PyType_FromSpec(&core_spec);
	if (type == NULL || PyModule_AddObjectRef(module, "Core", type) < 0 || add_constants(module) < 0)
		Py_CLEAR(module);
	Py_XDECREF(type);
	return module;
}
